"""Pixels to zero mean and unit deviation, in float32 whatever the policy."""

import keras
import numpy as np

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from keras_pretext.layers.pixel_normalization import PixelNormalization


def test_every_channel_by_its_own_numbers(rng):
    images = rng.integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    expected = (images.astype("float64") - IMAGENET_MEAN) / IMAGENET_STD
    layer = PixelNormalization(IMAGENET_MEAN, IMAGENET_STD)
    for given in (images, images.astype("float32")):
        np.testing.assert_allclose(layer(given), expected, atol=1e-6)
    same = PixelNormalization.from_config(layer.get_config())
    np.testing.assert_array_equal(same(images), layer(images))


def test_one_picture_and_sizes_that_are_not_known_beforehand(rng):
    layer, inputs = PixelNormalization((1, 2, 3), (2, 4, 8)), keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs))
    assert model.output.shape == (None, None, None, 3)
    for shape in ((2, 5, 7, 3), (1, 3, 2, 3)):
        images = rng.random(shape, "float32")
        np.testing.assert_allclose(model(images), (images - [1, 2, 3]) / [2, 4, 8], atol=1e-6)
        np.testing.assert_allclose(layer(images[0]), model(images)[0], atol=1e-6)


def test_it_is_what_keras_own_layer_gives(rng):
    images = rng.integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    other = keras.layers.Normalization(mean=IMAGENET_MEAN,
                                       variance=[s * s for s in IMAGENET_STD])
    np.testing.assert_allclose(PixelNormalization(IMAGENET_MEAN, IMAGENET_STD)(images),
                               other(images), rtol=1e-6, atol=1e-6)


def test_float32_under_mixed_precision():
    layer = PixelNormalization((0.5, 1.0, 2.0), (1.0, 1.0, 1.0))
    images = keras.Input((4, 4, 3), dtype="uint8")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        out = PixelNormalization((0.5, 1.0, 2.0), (1.0, 1.0, 1.0))(images)
    finally:
        keras.config.set_dtype_policy(before)
    assert out.dtype == layer(images).dtype == "float32"
