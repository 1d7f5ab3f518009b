"""Caffe's local response normalisation across channels."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class LocalResponseNormalization(keras.layers.Layer):
    """`x / (1 + alpha / size * sum of x**2 over size neighbouring channels) ** beta`.

    Krizhevsky et al. (2012), section 3.3, with Caffe's constants and its division by `size`.

    Args:
        size: odd number of channels summed over, centred.
    """

    def __init__(self, size=5, alpha=1e-4, beta=0.75, **kwargs):
        super().__init__(**kwargs)
        if size % 2 == 0:
            raise ValueError(f"size is odd. Received: {size}")
        self.size, self.alpha, self.beta = size, alpha, beta

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        channels, reach = inputs.shape[-1], self.size // 2
        squares = ops.pad(x * x, ((0, 0), (0, 0), (0, 0), (reach, reach)))
        total = sum(squares[..., k:k + channels] for k in range(self.size))
        out = x * (1.0 + self.alpha / self.size * total) ** -self.beta
        return ops.cast(out, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "alpha": self.alpha, "beta": self.beta}
