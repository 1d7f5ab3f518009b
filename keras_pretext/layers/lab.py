"""RGB to CIELAB as a network takes it."""

import keras
from keras import ops

from keras_pretext.image.color import to_lab
from keras_pretext.registry import unknown_name

COLORS = {"L": (0, 1), "ab": (1, 3), "Lab": (0, 3)}
_SCALE = 25.0


@keras.saving.register_keras_serializable(package="keras_pretext")
class Lab(keras.layers.Layer):
    """Channels of CIELAB, centred, of RGB in 0..255: (L - 50) / 25, a / 25, b / 25, in float32.

    Zhang et al. (ECCV 2016) subtract 50 and do not scale; the scale gives about unit deviation to
    networks without batch normalisation.

    Args:
        color: "L", "ab" or "Lab".
    """

    def __init__(self, color="Lab", **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**{**kwargs, "autocast": False, "trainable": False})
        if color not in COLORS:
            raise ValueError(unknown_name("colour channels", color, COLORS))
        self.color = color

    def call(self, images):
        first, last = COLORS[self.color]
        lab = to_lab(ops.cast(images, "float32") / 255.0) - ops.convert_to_tensor([50.0, 0.0, 0.0])
        return lab[..., first:last] / _SCALE

    def compute_output_shape(self, input_shape):
        first, last = COLORS[self.color]
        return (*input_shape[:-1], last - first)

    def compute_output_spec(self, images):
        return keras.KerasTensor(self.compute_output_shape(images.shape), "float32")

    def get_config(self):
        return {**super().get_config(), "color": self.color}
