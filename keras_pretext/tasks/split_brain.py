"""Split-brain autoencoders: each half of a picture's channels tells the other (Zhang et al., 2017).

Zhang, Isola, Efros, "Split-Brain Autoencoders: Unsupervised Learning by Cross-Channel Prediction",
CVPR 2017.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import color_codes
from keras_pretext.image import framing as framings
from keras_pretext.image.color import AB_BINS, from_lab, grey_of_lightness, lightness
from keras_pretext.losses.colorization import ColorAccuracy, ColorCrossentropy
from keras_pretext.losses.masked import NO_ANSWER, MaskedAccuracy, MaskedCrossentropy
from keras_pretext.tasks import color_prior
from keras_pretext.tasks.base import PretextModel, Task, registry
from keras_pretext.tasks.colorization import ColorizationLayer
from keras_pretext.tasks.dense import at_every, centre_of

_LOOK = 500  # pictures in which some colour is looked for


@keras.saving.register_keras_serializable(package="keras_pretext")
class SplitBrainLayer(ColorizationLayer):
    """A picture, and the colours and the lightness of some of its pixels.

    Inputs are uint8 `(size, size, 3)`: which half of the network sees what is the backbone's
    matter. Pseudolabels, of every `stride`-th pixel from the first, -1 in pictures without colour:
    `color`, colour codes, int32 `(n, n)`; `lightness`, int32 `(n, n)`, which of the equal parts of
    0..100 holds L.

    Draws: the framing's, then one for the mirror.
    """

    def __init__(self, levels, stride, flip, framing, **kwargs):
        super().__init__(stride, flip, framing, **kwargs)
        self.levels = levels

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        colors = self.colors(images)
        light = lightness(images[:, ::self.stride, ::self.stride]) * (self.levels / 100.0)
        level = ops.clip(ops.cast(ops.floor(light), "int32"), 0, self.levels - 1)
        level = ops.where(colors == color_codes.NO_COLOR, NO_ANSWER, level)
        return images, {"color": colors, "lightness": level}

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}


@registry.register("split_brain")
@keras.saving.register_keras_serializable(package="keras_pretext")
class SplitBrain(Task):
    """Tell colour from lightness with one half of a network, lightness from colour with the other.

    The backbone is in two halves that share nothing, as `split_alexnet`; each has a 1x1 convolution
    on its part of one tap, and the loss is the sum of two cross-entropies: the nearest of 313
    colours, and the part of 0..100 that holds L. Features are the taps of both halves together.
    There is no rebalancing; pictures without colour, where neither half could know anything, are
    not asked. (That, and the number of parts, which may be 50 or 100, could not be confirmed.)

    Args:
        image_size: side of the framed picture in pixels.
        stride: of the pixels that are asked.
        levels: parts of the lightness.
        framing, flip: as for `Colorization`.
        tap: the backbone's tap under both heads; its last one by default.

    Raises:
        ValueError: for options that make no sense; from `prepare`, for pictures without colour;
            from `attach`, for a backbone that is not in two halves.
    """

    name = "split_brain"

    def __init__(self, image_size=180, stride=8, levels=100, framing=None, flip=True, tap=None):
        if image_size < 1 or not 1 <= stride <= image_size:
            raise ValueError("stride is 1 to image_size. "
                             f"Received: image_size={image_size}, stride={stride}")
        if levels < 2:
            raise ValueError(f"levels are at least 2. Received: {levels!r}")
        if framing is None:
            framing = framings.ResizeCrop(image_size, round(image_size * 8 / 7))
        self.framing = framings.of_size(framing, image_size)
        self.image_size, self.stride, self.levels = image_size, stride, levels
        self.flip, self.tap = flip, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def chance(self):
        """Of equal logits."""
        return {"loss": math.log(len(AB_BINS)) + math.log(self.levels),
                "color_accuracy": 1 / len(AB_BINS), "lightness_accuracy": 1 / self.levels}

    def prepare(self, source, seed):
        """Nothing, once it has seen that there is colour."""
        color_prior.check_colour(source, _LOOK)
        return {}

    def layer(self, augment=True):
        return SplitBrainLayer(self.levels, self.stride, self.flip and augment,
                               self.framing if augment else self.framing.evaluation())

    def objective(self):
        return {"loss": {"color": ColorCrossentropy(neighbours=1),
                         "lightness": MaskedCrossentropy()},
                "metrics": {"color": [ColorAccuracy(name="accuracy")],
                            "lightness": [MaskedAccuracy(name="accuracy")]}}

    def attach(self, backbone, name="split_brain_model", **kwargs):
        if getattr(backbone, "halves", None) != ("L", "ab"):
            raise ValueError("split_brain trains a backbone in two halves, of L and of ab, such as "
                             f"split_alexnet. Received: {backbone.name}")
        inputs = keras.Input((self.image_size, self.image_size, 3), dtype="uint8", name="images")
        tap = self.tap or [*backbone.taps][-1]
        maps = backbone.extractor(tap)(inputs)
        half = maps.shape[-1] // 2
        outputs = {}
        for target, part, ways in (("color", maps[..., :half], len(AB_BINS)),
                                   ("lightness", maps[..., half:], self.levels)):
            x = layers.Conv2D(ways, 1, dtype="float32", name=f"{target}_logits")(part)
            outputs[target] = at_every(x, backbone.taps[tap].stride, self.stride, self.image_size,
                                       centre_of(backbone, tap, self.image_size))
        model = PretextModel(inputs, outputs, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        """What each half sees, and what it should answer."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            picture, labels = layer(ops.convert_to_tensor(image[None]),
                                    ops.convert_to_tensor(draw[None]))
            codes, level = labels["color"], labels["lightness"]
            nearest, _ = color_codes.soft_encoding(codes, 1)
            ab = ops.take(ops.convert_to_tensor(AB_BINS), nearest[..., 0], axis=0)
            ab = ops.where(codes[..., None] < 0, 0.0, ab)
            light = (ops.cast(level, "float32")[..., None] + 0.5) * (100.0 / self.levels)
            middle, none = ops.full_like(light, 60.0), ops.zeros_like(ab)
            full_ab = color_codes.sparse_ab(picture, 1)
            shown = [
                ("half L sees", ops.repeat(grey_of_lightness(picture), 3, -1)),
                ("and tells", _of_lab(middle, ab)),
                ("half ab sees", _of_lab(ops.full_like(full_ab[..., :1], 60.0), full_ab)),
                ("and tells", _of_lab(light, none))]
            rows.append([("picture", ops.convert_to_numpy(picture)[0]),
                         *((title, ops.convert_to_numpy(x)[0]) for title, x in shown)])
        return rows

    def get_config(self):
        return {"image_size": self.image_size, "stride": self.stride, "levels": self.levels,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}


def _of_lab(light, ab):
    return framings.to_uint8(from_lab(ops.concatenate([light, ab], -1)) * 255.0)
