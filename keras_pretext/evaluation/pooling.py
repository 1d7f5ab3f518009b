"""How the protocols pool the maps of a tap, by name."""

import functools

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class AdaptiveMaxPooling(keras.layers.Layer):
    """Max-pools maps to `size x size`: cell i covers [floor(i L / n), ceil((i + 1) L / n)).

    Gidaris et al. (2018), released code. Maps that are smaller already are left alone.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, maps):
        for axis in (1, 2):
            length = int(maps.shape[axis])
            if length <= self.size:
                continue
            k = np.arange(self.size)
            start, stop = k * length // self.size, -(-(k + 1) * length // self.size)
            parts = [ops.take(maps, np.minimum(start + j, stop - 1), axis=axis)
                     for j in range((stop - start).max())]  # of a short cell the last once more
            maps = functools.reduce(ops.maximum, parts)  # quicker than a reduction, in bfloat16
        return maps

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def pooled_size(height, channels, limit=9600):
    """The largest side, at most the map's, at which the map has no more than `limit` features.

    With 9600 this gives RotNet's sizes for AlexNet at 224 pixels: 12, 7, 5, 6 and 6.
    """
    side = height
    while side > 1 and side * side * channels > limit:
        side -= 1
    return side


@keras.saving.register_keras_serializable(package="keras_pretext")
class PyramidMaxPooling(keras.layers.Layer):
    """Maxima over 1x1, 2x2 and 4x4 cells: `(n, H, W, c)` to `(n, cells * c)`.

    Dosovitskiy et al. (2014), for Caltech; after Lazebnik et al. (2006). Maps with fewer cells
    give what they have.
    """

    def call(self, maps):
        levels = [AdaptiveMaxPooling(size)(maps) for size in (1, 2, 4)]
        return ops.concatenate([ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
                                for x in levels], -1)


def _strided_average(height, channels):
    """VISSL's sizes for AlexNet at 224 pixels: 19/4, 12/3, 9/1, 9/1 and 8/1 (kernel/stride)."""
    side = pooled_size(height, channels)
    stride = max(1, height // (side + 2))
    return keras.layers.AveragePooling2D(height - (side - 1) * stride, stride, dtype="float32")


def _tiled_average(height, channels):
    """DeepCluster's sizes for AlexNet: 6/3, 4/0, 3/1, 3/1 and 2/0 (kernel = stride/padding).

    Padding counts in the mean, as in Torch.
    """
    side = pooled_size(height, channels)
    kernel = max(1, round(height / side))
    pad = -(-max(0, side * kernel - height) // 2)
    return keras.Sequential([keras.layers.ZeroPadding2D(pad),
                             keras.layers.AveragePooling2D(kernel, kernel, dtype="float32")])


def _resized(height, channels):
    side = pooled_size(height, channels)
    return keras.layers.Resizing(side, side, interpolation="bilinear", dtype="float32")


POOLINGS = {
    "adaptive": lambda height, channels: AdaptiveMaxPooling(pooled_size(height, channels)),
    "adaptive_9000": lambda height, channels: AdaptiveMaxPooling(
        pooled_size(height, channels, 9000)),
    "avg": lambda height, channels: keras.layers.GlobalAveragePooling2D(dtype="float32"),
    "resize": _resized,
    "strided_avg": _strided_average,
    "tiled_avg": _tiled_average,
    "quadrants": lambda height, channels: AdaptiveMaxPooling(2),
    "pyramid": lambda height, channels: PyramidMaxPooling(),
}


def pooled(maps, pooling):
    """Maps `(n, H, W, c)` through a pooling of `POOLINGS`; None leaves them as they are."""
    return maps if pooling is None else POOLINGS[pooling](maps.shape[1], maps.shape[-1])(maps)
