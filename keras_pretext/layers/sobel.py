"""Horizontal and vertical edges of the mean channel, not trained."""

import keras
import numpy as np
from keras import ops

_ACROSS = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], "float32")


@keras.saving.register_keras_serializable(package="keras_pretext")
class Sobel(keras.layers.Layer):
    """The mean of the channels through the pair of 3x3 Sobel filters, zeros around the picture.

    The input of Bojanowski and Joulin (ICML 2017) and of Caron et al. (ECCV 2018): colour is
    gone, so that no feature can rest on it. Channel 0 is the left less the right neighbours,
    channel 1 the upper less the lower ones.
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**{**kwargs, "autocast": False, "trainable": False})

    def call(self, images):
        """`(batch, height, width, channels)`, any dtype, to float32 `(batch, height, width, 2)`."""
        grey = ops.mean(ops.cast(images, "float32"), axis=-1, keepdims=True)
        filters = ops.convert_to_tensor(np.stack([_ACROSS, _ACROSS.T], -1)[:, :, None])
        return ops.conv(grey, filters, padding="same")

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)

    def compute_output_spec(self, images):
        return keras.KerasTensor(self.compute_output_shape(images.shape), "float32")
