"""Normalisation of each patch by its own statistics."""

import keras
from keras import ops

from keras_pretext.image.patches import flat_field


@keras.saving.register_keras_serializable(package="keras_pretext")
class PatchStandardization(keras.layers.Layer):
    """Each channel of each patch to the mean, and the deviation, that a backbone expects.

    A backbone normalises its input by fixed constants `mean` and `std`; here every patch gets
    just these, so that inside the backbone it has mean 0 and deviation 1 in each channel and no
    patch tells its neighbour by brightness or contrast (Noroozi and Favaro, 2016, "Shortcuts").
    A channel of one colour becomes `mean`.

    Args:
        mean, std: the backbone's, per channel, in 0..255.
        scale: False: only the mean is removed (Doersch et al., 2015).
        flat_field: remove the slope of light first, see `image.patches.flat_field`.
    """

    def __init__(self, mean, std, scale=True, flat_field=False, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False, "trainable": False})
        self.mean, self.std, self.scale = tuple(mean), tuple(std), scale
        self.flat_field = flat_field

    def call(self, patches):
        """`(..., height, width, channels)`, any dtype, to float32."""
        x = flat_field(patches) if self.flat_field else ops.cast(patches, "float32")
        x = x - ops.mean(x, (-3, -2), keepdims=True)
        if self.scale:
            deviation = ops.sqrt(ops.mean(x * x, (-3, -2), keepdims=True))
            x = x / ops.where(deviation > 0.5, deviation, 1.0)  # half a grey level: one colour
            x = x * ops.convert_to_tensor(self.std, "float32")
        return x + ops.convert_to_tensor(self.mean, "float32")

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, patches):
        return keras.KerasTensor(patches.shape, "float32")

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std, "scale": self.scale,
                "flat_field": self.flat_field}
