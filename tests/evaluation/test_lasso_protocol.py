import keras
import numpy as np
import pytest

from keras_pretext import backbones, evaluation
from keras_pretext.backbones.resnet import Units
from keras_pretext.data.arrays import ArraySource


def trunk():
    keras.utils.set_random_seed(0)
    return backbones.get("resnet", flavour="cifar", depth=20, output_stride=4)


def test_units_stand_side_by_side_and_share_their_weights(rng):
    backbone = trunk()
    both = Units(backbone)
    x = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    units = keras.Model(backbone.input, [backbone.get_layer(n).output for n in backbone.units])
    np.testing.assert_allclose(both(x)["units"], np.concatenate(units(x), -1), atol=1e-5)
    assert both.taps["units"].channels == 512 and both.taps["units"].stride == 4
    again = Units.from_config(both.get_config())
    again.set_weights(both.get_weights())
    np.testing.assert_allclose(again(x)["units"], both(x)["units"], atol=1e-5)
    with pytest.raises(ValueError, match="residual trunk, such as resnet. Received: vgg"):
        Units(backbones.get("vgg", depth=11))


def test_the_protocol_tells_colours_apart(rng):
    colors = rng.integers(0, 256, (4, 1, 1, 3))
    labels = np.arange(80) % 4
    images = (0.7 * colors[labels] + 0.3 * rng.integers(0, 256, (80, 16, 16, 3))).astype("uint8")
    train, test = (ArraySource(images[part], labels[part]) for part in (slice(40), slice(40, 80)))
    result = evaluation.protocol("doersch2017-lasso")(trunk(), train, test, seeds=(0,), epochs=30,
                                                      batch_size=20, cache=False, image_size=16,
                                                      learning_rate=0.1)
    assert result.mean("units") > 0.9 and result.settings["penalty"] == 0.01
    with pytest.raises(ValueError, match="Received: taps='block3'"):
        evaluation.protocol("lasso")(trunk(), train, test, "block3")
