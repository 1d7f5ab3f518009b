"""Adaptive max pooling."""

import keras
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
            cells = []
            for k in range(self.size):
                start, stop = k * length // self.size, -(-(k + 1) * length // self.size)
                cell = maps[:, start:stop] if axis == 1 else maps[:, :, start:stop]
                cells.append(ops.max(cell, axis=axis, keepdims=True))
            maps = ops.concatenate(cells, axis=axis)
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
