"""Bilinear resizing whose gradient is the same in every run."""

import keras
from keras import ops

from keras_pretext.image.framing import resample


@keras.saving.register_keras_serializable(package="keras_pretext")
class Resample(keras.layers.Layer):
    """Maps `(batch, h, w, c)` to `(batch, size, size, c)`, bilinear and antialiased, in float32.

    Two matrix products (`framing.resample`), so deterministic on every device.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs):
        zeros = ops.zeros((ops.shape(inputs)[0],), "int32")
        x = resample(inputs, zeros, zeros, zeros + inputs.shape[1], zeros + inputs.shape[2],
                     self.size)
        return ops.reshape(x, (-1, self.size, self.size, inputs.shape[-1]))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs.shape[0], self.size, self.size, inputs.shape[-1]),
                                 "float32")

    def get_config(self):
        return {**super().get_config(), "size": self.size}
