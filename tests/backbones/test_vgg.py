import numpy as np
import pytest

from keras_pretext import backbones


def test_vgg16_has_the_papers_138_million_weights_with_its_classifier():
    """Simonyan and Zisserman, Table 2: 138 million, the 1000-way layer included."""
    convolutions, before = 0, 3
    for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            convolutions += 9 * before * channels + channels
            before = channels
    dense = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096
    model = backbones.get("vgg", fc_units=(4096, 4096))
    assert model.count_params() == convolutions + dense
    assert round((model.count_params() + 4096 * 1000 + 1000) / 1e6) == 138


def test_maps_at_96_pixels():
    model = backbones.get("vgg", fc_units=(32,), image_size=96)
    shapes = {n: tuple(t.shape) for n, t in model(np.zeros((1, 96, 96, 3), "uint8")).items()}
    assert shapes["conv1_2"] == (1, 96, 96, 64) and shapes["pool5"] == (1, 3, 3, 512)
    assert shapes["fc6"] == (1, 1, 1, 32)
    for name, tap in model.taps.items():
        if not name.startswith("fc"):
            assert shapes[name][1] == 96 // tap.stride and shapes[name][-1] == tap.channels
    assert len(model.taps) == 13 + 5 + 1


def test_config_round_trip_and_errors():
    model = backbones.get("vgg", depth=11, batch_norm=True)
    again = type(model).from_config(model.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    with pytest.raises(ValueError, match="16.*Received|Received.*15"):
        backbones.get("vgg", depth=15)
    with pytest.raises(ValueError, match="at least 32"):
        backbones.get("vgg", fc_units=(8,), image_size=31)
