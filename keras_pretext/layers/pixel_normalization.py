"""Pixels to zero mean and unit deviation."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class PixelNormalization(keras.layers.Layer):
    """(images - mean) / std, channel by channel, in float32.

    Keras' own Normalization holds its numbers as tensors of their own, which exporters to ONNX take
    for further inputs of the model.

    Args:
        mean, std: of each channel, in the images' range.
    """

    def __init__(self, mean, std, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.mean, self.std = [float(x) for x in mean], [float(x) for x in std]

    def call(self, images):
        mean, rate = np.array(self.mean, "float32"), 1 / np.array(self.std, "float32")
        shape = ops.shape(images)
        # by whole rows: TensorFlow's kernels are four times slower where three numbers are repeated
        rows = ops.reshape(ops.cast(images, "float32"), (-1, shape[-2] * len(self.mean)))
        rows = (rows - ops.tile(mean, (shape[-2],))) * ops.tile(rate, (shape[-2],))
        return ops.reshape(rows, shape)

    def compute_output_spec(self, images):
        return keras.KerasTensor(images.shape, "float32")

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std}
