"""Small backbones whose maps can be told by hand."""

import keras
import numpy as np

from keras_pretext.backbones.base import Backbone


def pixels():
    """Taps `pixels`, the picture itself in [0, 1], and `pooled`, its 2x2 maxima."""
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Rescaling(1 / 255)(images)
    return Backbone(images, {"pixels": (x, 1), "pooled": (keras.layers.MaxPooling2D(2)(x), 2)},
                    name="pixels")


def convolved(kernel):
    """Tap `out`: the mean of the channels through one filter, zeros around."""
    images = keras.Input((None, None, 3), name="images")
    size = len(kernel)
    layer = keras.layers.Conv2D(1, size, padding="same", use_bias=False, name="conv")
    backbone = Backbone(images, {"out": (layer(images), 1)}, name="convolved")
    layer.kernel.assign(np.repeat(np.asarray(kernel, "float32")[:, :, None, None], 3, 2) / 3)
    return backbone
