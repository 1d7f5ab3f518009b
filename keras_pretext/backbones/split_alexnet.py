"""AlexNet in two halves that share nothing: one sees lightness, one colour (split-brain)."""

import keras
from keras import layers

from keras_pretext.backbones.alexnet import FLAVOURS, stack
from keras_pretext.backbones.base import Backbone, registry
from keras_pretext.layers.lab import Lab
from keras_pretext.registry import unknown_name


@registry.register("split_alexnet")
@keras.saving.register_keras_serializable(package="keras_pretext")
class SplitAlexNet(Backbone):
    """Two AlexNets of half the channels; every tap is that of both, concatenated.

    The first half of a tap's channels comes from the lightness of CIELAB alone, the second half
    from a and b alone, each with weights of its own (Zhang et al., CVPR 2017, section 3.1); so the
    two must not be normalised together. Taps are those of `AlexNet`.

    Args:
        flavour: of both halves; "colorization_half" is the paper's.
        fc_units: widths of the fully connected layers of the whole, even.
        image_size, conv1_stride: as for `AlexNet`.

    Raises:
        ValueError: for odd widths, and what `AlexNet` refuses.
    """

    halves = ("L", "ab")

    def __init__(self, flavour="colorization_half", fc_units=(), image_size=180,
                 conv1_stride=None, name="split_alexnet", **kwargs):
        if flavour not in FLAVOURS:
            raise ValueError(unknown_name("AlexNet flavour", flavour, FLAVOURS))
        if any(units % 2 for units in fc_units):
            raise ValueError("fc_units are even, a half each for lightness and colour. "
                             f"Received: {tuple(fc_units)}")

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        units = [count // 2 for count in fc_units]
        parts = [stack(Lab(color, name=f"{color}_lab")(inputs), flavour, units, image_size,
                       conv1_stride, prefix=f"{color}_") for color in self.halves]
        taps = {tap: (layers.Concatenate(name=tap)([part[tap][0] for part in parts]), stride)
                for tap, (_, stride) in parts[0].items()}
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.flavour, self.fc_units, self.image_size = flavour, tuple(fc_units), image_size
        self.conv1_stride, self.color = conv1_stride, "Lab"

    def get_config(self):
        return {"flavour": self.flavour, "fc_units": self.fc_units, "image_size": self.image_size,
                "conv1_stride": self.conv1_stride, "name": self.name}
