import keras
import numpy as np

from keras_pretext.backbones.base import Backbone
from keras_pretext.layers.batch_normalization import BatchNormalization
from keras_pretext.visualize import first_layer_filters


def network(norm):
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Conv2D(2, 2, use_bias=False, name="conv")(images)
    if norm:
        x = BatchNormalization(name="bn")(x)
    return Backbone(images, {"conv": (x, 1)})


def test_filters_are_stretched_and_a_negative_scale_turns_them():
    model = network(norm=True)
    kernel = np.zeros((2, 2, 3, 2), "float32")
    kernel[0, 0, 0] = 5.0  # the upper left pixel's red is the highest of both
    model.get_layer("conv").kernel.assign(kernel)
    model.get_layer("bn").gamma.assign([2.0, -2.0])
    sheet = first_layer_filters(model, gap=1)
    assert sheet.shape == (4, 7, 3)
    assert tuple(sheet[1, 1]) == (255, 0, 0) and tuple(sheet[2, 2]) == (0, 0, 0)
    assert tuple(sheet[1, 4]) == (0, 255, 255) and tuple(sheet[2, 5]) == (255, 255, 255)
    plain = network(norm=False)
    plain.get_layer("conv").kernel.assign(kernel)
    sheet = first_layer_filters(plain, gap=1)
    np.testing.assert_array_equal(sheet[:, :4], sheet[:, 3:])
