"""Receptive fields: the arithmetic against what a changed pixel changes."""

import keras
import numpy as np
import pytest

from keras_pretext import backbones
from keras_pretext.backbones.base import Backbone
from keras_pretext.backbones.receptive import receptive_field


def pooled():
    images = keras.Input((None, None, 3), name="images")
    return Backbone(images, {"pooled": (keras.layers.MaxPooling2D(2)(images), 2)}, name="pooled")


def strided():
    """"same" padding with strides, dilation, and two branches that are joined."""
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Conv2D(2, 3, 2, padding="same", use_bias=False)(images)
    a = keras.layers.Conv2D(2, 3, dilation_rate=2, padding="same", use_bias=False)(x)
    b = keras.layers.DepthwiseConv2D(1, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.Add()([a, b]))
    return Backbone(images, {"out": (keras.layers.AveragePooling2D(2)(x), 4)}, name="strided")


def responses(backbone, tap, size, places):
    """Which cells of a tap change with a pixel: bool `(places, height, width)`.

    With weights above zero and no constant, a black picture gives zeros everywhere, and a bright
    pixel more than that wherever it is seen, through maxima too.
    """
    for layer in backbone.layers:
        for weight in layer.weights:
            kind = weight.path.rsplit("/", 1)[-1]
            value = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0,
                     "mean": 0.0, "variance": 1.0, "bias": 0.0, "count": 0}.get(kind, 0.01)
            weight.assign(np.full(weight.shape, value))
    images = np.zeros((len(places), size, size, 3), "float32")
    images[np.arange(len(places)), [p[0] for p in places], [p[1] for p in places]] = 255
    maps = np.asarray(backbone.extractor(tap)(images)).sum(-1)
    # some kernels for convolutions leave 1e-7 of the largest value where there is nothing
    return maps > 1e-5 * maps.max((1, 2), keepdims=True)


@pytest.mark.parametrize("make, tap, size", [
    (strided, "out", 20), (strided, "out", 23), (pooled, "pooled", 10),
    (lambda: backbones.get("network_in_network", blocks=3, mean=(0,) * 3, std=(1,) * 3),
     "block3", 32),
    (lambda: backbones.get("resnet", depth=11, blocks=2, output_stride=2, flavour="cifar",
                           mean=(0,) * 3, std=(1,) * 3), "block2", 24),
    (lambda: backbones.get("alexnet", fc_units=(), mean=(0,) * 3, std=(1,) * 3), "conv3", 95)],
    ids=["strided even", "strided odd", "pooled", "nin", "resnet", "alexnet"])
def test_a_pixel_changes_the_cells_that_see_it_and_no_others(make, tap, size):
    backbone = make()
    places = [(0, 0), (size - 1, size - 2), (size // 2, size // 3), (7, 5), (3, size - 4)]
    changed = responses(backbone, tap, size, places)
    field = receptive_field(backbone, tap, size)
    for (y, x), found in zip(places, changed, strict=True):
        sees = np.zeros(found.shape, bool)
        for cell in np.ndindex(found.shape):
            top, left, bottom, right = field.box(*cell)
            sees[cell] = top <= y < bottom and left <= x < right
        np.testing.assert_array_equal(found, sees)


@pytest.mark.parametrize("tap, size, stride, first", [
    ("conv1", 11, 4, -2), ("pool1", 19, 8, -2), ("conv2", 51, 8, -18), ("pool2", 67, 16, -18),
    ("conv3", 99, 16, -34), ("conv5", 163, 16, -66), ("pool5", 195, 32, -66)])
def test_alexnets_known_sizes(tap, size, stride, first):
    field = receptive_field(backbones.get("alexnet", fc_units=()), tap, 224)
    assert (field.size, field.stride, field.first) == (size, stride, first)


def test_edges_see_a_pixel_more_on_each_side():
    sobel = backbones.get("network_in_network", blocks=2, sobel=True)
    plain = backbones.get("network_in_network", blocks=2)
    wide, narrow = (receptive_field(one, "block2", 32) for one in (sobel, plain))
    assert (wide.size, wide.first, wide.stride) == (narrow.size + 2, narrow.first - 1, 4)


def test_what_cannot_be_told_is_refused():
    images = keras.Input((None, None, 3), name="images")
    up = Backbone(images, {"up": (keras.layers.UpSampling2D()(images), 1)}, name="up")
    with pytest.raises(ValueError, match="works? on every cell.*UpSampling2D"):
        receptive_field(up, "up", 8)
    with pytest.raises(ValueError, match="unknown tap"):
        receptive_field(up, "down", 8)
    with pytest.raises(ValueError, match="leaves nothing of tap 'pooled'"):
        receptive_field(pooled(), "pooled", 1)
