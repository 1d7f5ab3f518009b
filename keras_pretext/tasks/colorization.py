"""Colorization: tell the colours of a picture from its lightness (Zhang et al., ECCV 2016)."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import color_codes
from keras_pretext.image import framing as framings
from keras_pretext.image.color import AB_BINS, from_lab, grey_of_lightness, lightness
from keras_pretext.losses.colorization import (
    AB_SCALE,
    ColorAccuracy,
    ColorCrossentropy,
    ColorDistance,
    ColorRegression,
)
from keras_pretext.registry import unknown_name
from keras_pretext.tasks import color_prior
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry
from keras_pretext.tasks.dense import at_every, centre_of

TARGETS = ("classes", "ab")
_LOOK = 500  # pictures in which some colour is looked for where the prior is given


@keras.saving.register_keras_serializable(package="keras_pretext")
class ColorizationLayer(FlipLayer):
    """A grey picture, and the colours that it had.

    Inputs are uint8 `(size, size, 1)`: greys of the lightness of the picture's colours.
    Pseudolabels are colour codes (`image.color_codes`), int32 `(ceil(size / stride),) * 2`, of
    every `stride`-th pixel from the first; -1 in pictures without colour.

    Draws: the framing's, then one for the mirror.
    """

    def __init__(self, stride, flip, framing, **kwargs):
        super().__init__(flip, framing, **kwargs)
        self.stride = stride

    def colors(self, images):
        """Colour codes, int32 `(B, h, w)`, -1 in pictures without colour."""
        ab = color_codes.sparse_ab(images, self.stride)
        grey = color_codes.without_colour(ab)[:, None, None]
        return ops.where(grey, color_codes.NO_COLOR, color_codes.to_codes(ab))

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        return grey_of_lightness(images), self.colors(images)

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


@registry.register("colorization")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Colorization(Task):
    """Which of 313 colours had every fourth pixel of this grey picture?

    The network sees lightness alone. Its answer is a distribution over the squares of the ab
    plane; the target is spread over the nearest ones, and rare colours weigh more. The head is a
    1x1 convolution on a tap, enlarged bilinearly to the colours' resolution where that is finer.

    Any backbone sees grey pictures. One with `color="L"` also makes lightness of the coloured
    pictures that it is given afterwards, in probes or fine-tuning (the paper's "gray" rows);
    `backbones.in_color` makes of it one that sees their colours (the "color" rows).

    Args:
        image_size: side of the framed picture in pixels; 176 in the paper, 180 for its AlexNet.
        stride: of the pixels that are asked; 4, or 8 for the AlexNet.
        target: "classes", or "ab": half the squared error, the paper's baseline, whose colours
            are pale.
        prior: how often each colour is: "data" counts it in the training data before training
            (`color_prior.count`), or what `color_prior.resolve` takes. The config holds the counts.
        mix: lambda of the rebalancing: 1 for none, 0.5 in the paper. Not used with "ab".
        neighbours: bins among which a target is spread; 5 in the paper, 10 in its code.
        temperature: of the annealed mean that makes one colour of a distribution.
        framing: gives `image_size`; by default a random square of a picture whose short side is
            8/7 of that.
        flip: mirror half of the pictures.
        tap: the backbone's tap under the head; its last one by default.

    Raises:
        ValueError: for options that make no sense or an unknown prior; from `prepare`, for
            pictures without colour.
    """

    name = "colorization"

    def __init__(self, image_size=176, stride=4, target="classes", prior="data", mix=0.5,
                 neighbours=5, temperature=color_codes.TEMPERATURE, framing=None, flip=True,
                 tap=None):
        if image_size < 1 or not 1 <= stride <= image_size:
            raise ValueError("stride is 1 to image_size. "
                             f"Received: image_size={image_size}, stride={stride}")
        if target not in TARGETS:
            raise ValueError(unknown_name("target", target, TARGETS))
        if not 0 <= mix <= 1:
            raise ValueError(f"mix is a share in [0, 1]. Received: {mix!r}")
        if not 1 <= neighbours <= len(AB_BINS):
            raise ValueError(f"neighbours are 1 to {len(AB_BINS)}. Received: {neighbours!r}")
        if not temperature >= 0:
            raise ValueError(f"temperature is 0 or positive. Received: {temperature!r}")
        if framing is None:
            framing = framings.ResizeCrop(image_size, round(image_size * 8 / 7))
        self.framing = framings.of_size(framing, image_size)
        self.counts = None if _of_data(prior) else color_prior.resolve(prior)
        self.image_size, self.stride, self.target, self.mix = image_size, stride, target, mix
        self.neighbours, self.temperature = neighbours, temperature
        self.flip, self.tap = flip, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def chance(self):
        """Of the best answer that is the same for every pixel, if colours are as in the prior.

        Before a prior is known, all colours are taken to be as frequent.
        """
        p = np.ones(len(AB_BINS)) if self.counts is None else np.array(self.counts, "float64")
        p = p / p.sum()
        if self.target == "ab":
            variance = (p * ((AB_BINS - p @ AB_BINS) ** 2).sum(1)).sum()
            return {"loss": 0.5 * variance / AB_SCALE**2}
        indices, shares = (ops.convert_to_numpy(x) for x in color_codes.soft_encoding(
            color_codes.to_codes(ops.convert_to_tensor(AB_BINS)), self.neighbours))
        mass = np.zeros(len(AB_BINS))
        weighted = p if self.weights is None else p * self.weights
        np.add.at(mass, indices, weighted[:, None] * shares)
        mass = mass[mass > 0]
        return {"loss": float(-(mass * np.log(mass / mass.sum())).sum()), "accuracy": p.max()}

    @property
    def weights(self):
        """Of the bins, float64 `(313,)`; None where all are 1."""
        if self.counts is None or self.mix == 1 or self.target == "ab":
            return None
        return color_prior.rebalancing(self.counts, self.mix)

    def prepare(self, source, seed):
        """`counts` of the 313 colours, where the prior is the data's; see `color_prior.count`."""
        if self.counts is not None:
            color_prior.check_colour(source, _LOOK)
            return {}
        return {"counts": color_prior.check_colour(source)["counts"]}

    def adopt(self, prepared):
        if "counts" in prepared:
            self.counts = color_prior.resolve(prepared["counts"].tolist())

    def layer(self, augment=True):
        if augment:
            return ColorizationLayer(self.stride, self.flip, self.framing)
        return ColorizationLayer(self.stride, False, self.framing.evaluation())

    def objective(self):
        if self.target == "ab":
            return {"loss": ColorRegression(), "metrics": [ColorDistance(name="distance")]}
        return {"loss": ColorCrossentropy(self.weights, self.neighbours),
                "metrics": [ColorAccuracy(name="accuracy")]}

    def head(self):
        """From a tap to logits of the bins or to ab / 50: the layer `colors`."""
        ways = 2 if self.target == "ab" else len(AB_BINS)
        return layers.Conv2D(ways, 1, dtype="float32", name="colors")

    def attach(self, backbone, name="colorization_model", **kwargs):
        inputs = keras.Input((self.image_size, self.image_size, 1), dtype="uint8", name="grey")
        tap = self.tap or [*backbone.taps][-1]
        maps = backbone.extractor(tap)(layers.Concatenate(name="rgb")([inputs] * 3))
        out = at_every(self.head()(maps), backbone.taps[tap].stride, self.stride, self.image_size,
                       centre_of(backbone, tap, self.image_size))
        model = PretextModel(inputs, out, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def to_ab(self, outputs, temperature=None):
        """The head's answer to ab: `(..., 313)` logits, or `(..., 2)`, to float32 `(..., 2)`."""
        if self.target == "ab":
            return ops.cast(outputs, "float32") * AB_SCALE
        return color_codes.annealed_mean(
            outputs, self.temperature if temperature is None else temperature)

    def preview(self, images, draws):
        """What the network sees, and what it should answer: nearest bins and their mean."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            framing = layer.framing
            framed = framing(ops.convert_to_tensor(image),
                             ops.convert_to_tensor(draw[:framing.num_draws]))[None]
            own = ops.convert_to_tensor(draw[None, framing.num_draws:])
            grey, codes = layer.puzzle(framed, own)
            light = lightness(ops.repeat(grey, 3, -1))
            indices, shares = color_codes.soft_encoding(codes, self.neighbours)
            bins = ops.convert_to_tensor(AB_BINS)
            nearest = ops.take(bins, indices[..., 0], axis=0)
            mean = ops.sum(ops.take(bins, indices, axis=0) * shares[..., None], -2)
            row = [("picture", layer.mirrored(framed, own)), ("seen", ops.repeat(grey, 3, -1))]
            for title, ab in (("nearest of 313", nearest), (f"mean of {self.neighbours}", mean)):
                ab = at_every(ops.where(codes[..., None] < 0, 0.0, ab), self.stride, 1,
                              self.image_size)
                row.append((title, framings.to_uint8(
                    from_lab(ops.concatenate([light[..., None], ab], -1)) * 255.0)))
            rows.append([(title, ops.convert_to_numpy(x)[0]) for title, x in row])
        return rows

    def get_config(self):
        return {"image_size": self.image_size, "stride": self.stride, "target": self.target,
                "prior": "data" if self.counts is None else self.counts, "mix": self.mix,
                "neighbours": self.neighbours, "temperature": self.temperature,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}


def _of_data(prior):
    return isinstance(prior, str) and prior == "data"
