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
        mean, std = np.array(self.mean, "float32"), np.array(self.std, "float32")
        return (ops.cast(images, "float32") - mean) / std

    def compute_output_spec(self, images):
        return keras.KerasTensor(images.shape, "float32")

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std}
