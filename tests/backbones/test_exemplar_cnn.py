import numpy as np
import pytest

from keras_pretext import backbones


def convolution(kernel, before, channels):
    return kernel * kernel * before * channels + channels


@pytest.mark.parametrize("network, channels, units, features", [
    ("64c5-64c5-128f", (64, 64), 128, 256),
    ("64c5-128c5-256c5-512f", (64, 128, 256), 512, 960),
    ("92c5-256c5-512c5-1024f", (92, 256, 512), 1024, 1884),
])
def test_the_papers_networks(network, channels, units, features):
    """The table of the paper counts the maps of all layers; fc sees 8x8 of the last."""
    model = backbones.get("exemplar_cnn", network=network)
    convolutions = sum(convolution(5, before, count) for before, count in
                       zip((3, *channels), channels, strict=False))
    assert model.count_params() == convolutions + convolution(8, channels[-1], units)
    assert sum(t.channels for n, t in model.taps.items() if not n.startswith("pool")) == features
    shapes = {n: tuple(t.shape[1:3]) for n, t in model(np.zeros((1, 32, 32, 3), "uint8")).items()}
    assert shapes["conv1"] == (32, 32) and shapes["pool1"] == shapes["conv2"] == (16, 16)
    assert shapes["pool2"] == (8, 8) and shapes["fc"] == (1, 1)
    assert shapes.get("conv3", (8, 8)) == (8, 8)
    assert ("conv3" in shapes) == (len(channels) == 3)


def test_fc_is_a_convolution_over_larger_pictures(rng):
    """The map's first entry is what the patch there gives, zeros around it apart."""
    model = backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=16)
    image = rng.integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    taps = model(image)
    assert taps["fc"].shape == (1, 16 - 3, 24 - 3, 128)
    for name, tap in model.taps.items():
        if name != "fc":
            assert taps[name].shape[1:3] == (64 // tap.stride, 96 // tap.stride)
    shifted = model(image[:, 8:, 12:])["fc"]  # away from the borders, by strides: the same
    np.testing.assert_allclose(shifted[0, 3:9, 3:9], taps["fc"][0, 5:11, 6:12], atol=1e-4)
    assert abs(np.asarray(taps["fc"])).max() > 1e-2


def test_pooling_rounds_up():
    """5 to 2 and 3, where rounding down gives 2 and 1: Caffe's sizes; the last pixel counts."""
    model = backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=10)
    shapes = {n: t.shape[1] for n, t in model(np.zeros((1, 10, 10, 3), "uint8")).items()}
    assert shapes == {"conv1": 10, "pool1": 5, "conv2": 5, "pool2": 2, "fc": 1}
    shapes = {n: t.shape[1] for n, t in model(np.zeros((1, 12, 12, 3), "uint8")).items()}
    assert shapes["pool1"] == 6 and shapes["pool2"] == 3


def test_pooling_pads_on_the_right_and_below(rng):
    """As Caffe rounds up: windows begin at the first pixel, and end in the border."""
    taps = backbones.get("exemplar_cnn", image_size=10)(rng.integers(0, 256, (1, 10, 10, 3)))
    conv1, pool1 = (np.asarray(taps[name])[0] for name in ("conv1", "pool1"))
    for y, x in np.ndindex(5, 5):
        np.testing.assert_array_equal(
            pool1[y, x], conv1[2 * y:2 * y + 3, 2 * x:2 * x + 3].max((0, 1)))


def test_first_weights_and_decay():
    model = backbones.get("exemplar_cnn", weight_decay=0.004)
    for name, deviation, share in (("conv1", 0.05, 0), ("conv2", 0.02, 0), ("conv3", 0.01, 0.25),
                                   ("fc", 0.01, 1)):
        layer = model.get_layer(name)
        kernel = np.asarray(layer.kernel)
        assert kernel.std() == pytest.approx(deviation, rel=0.05)
        assert (np.asarray(layer.bias) == np.float32(0.1)).all()
        if share:  # gradient of decay: share * 0.004 * w
            expected = share * 0.004 / 2 * (kernel.astype("f8") ** 2).sum()
            found = float(layer.kernel_regularizer(layer.kernel))
            assert found == pytest.approx(expected, rel=1e-3)
        else:
            assert layer.kernel_regularizer is None
    assert backbones.get("exemplar_cnn").losses == []


def test_dropout_is_for_training_only(rng):
    model = backbones.get("exemplar_cnn", network="64c5-64c5-128f")
    image = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    alive = np.asarray(model(image, training=False)["fc"]) > 0
    dropped = (np.asarray(model(image, training=True)["fc"]) == 0) & alive
    assert alive.sum() > 50 and 0.3 < dropped.sum() / alive.sum() < 0.7


def test_config_round_trip_and_errors():
    model = backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=16, dropout=0.2)
    again = type(model).from_config(model.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert again.get_config() == model.get_config()
    with pytest.raises(ValueError, match="64c5-64c5-128f.*Received|Received.*64c5-64c5-128"):
        backbones.get("exemplar_cnn", network="64c5-64c5-128")
    with pytest.raises(ValueError, match="at least 8. Received: 7"):
        backbones.get("exemplar_cnn", image_size=7)
