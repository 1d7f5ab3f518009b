"""Damaged jigsaw puzzles: a piece is gone, the others are grey and shuffled (Kim et al., 2018).

Kim, Cho, Yoo, Kweon, "Learning Image Representations by Completing Damaged Jigsaw Puzzles", WACV
2018: three tasks, each made harder by damage, trained together. What is not in the paper's
abstract, the numbers and the layers, is ours.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import noise
from keras_pretext.image.color import AB_BINS, from_lab, lightness, nearest_bin, to_lab
from keras_pretext.image.color_codes import GREYEST
from keras_pretext.image.framing import to_uint8
from keras_pretext.losses.masked import NO_ANSWER, MaskedAccuracy, MaskedCrossentropy
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.base import PretextModel, registry
from keras_pretext.tasks.dense import at_every, centre_of
from keras_pretext.tasks.jigsaw import Jigsaw, JigsawLayer

DAMAGES = ("missing", "grey", "shuffle")
HEADS = ("jigsaw", "inpainting", "colorization")
NEEDS = dict(zip(HEADS, ("shuffle", "missing", "grey"), strict=True))
_STRIDE = 8  # of the pixels whose colour is asked, in a tile


@keras.saving.register_keras_serializable(package="keras_pretext")
class DamagedJigsawLayer(JigsawLayer):
    """Tiles with damage, in raster order, and what each head should answer.

    Inputs: `tiles` uint8 `(grid**2, tile, tile, 3)`; `permutations` int32 `(puzzles,)`, with the
    jigsaw or the inpainting head; `missing` int32 `()`, the tile that is gone, with inpainting.

    Pseudolabels: `jigsaw` int32 `(puzzles,)`; `inpainting` float32 `(tile, tile)`, the lightness
    of the missing tile with its own mean 0 and deviation 1; `colorization` int32
    `(grid**2, tile // 8, tile // 8)`, the nearest of AB_BINS at every eighth pixel, -1 in the
    missing tile and in pictures without colour.

    Draws: those of the puzzle, then one for the missing tile and one for its noise. The tile is
    drawn apart from the permutation, so the slot where it is missing says nothing about that.
    """

    def __init__(self, *args, damage, heads, **kwargs):
        super().__init__(*args, more_draws=2, **kwargs)
        self.damage, self.heads = tuple(damage), tuple(heads)

    def missing(self, draws):
        """int32 `(B,)`: the tile that is gone, each as likely as another."""
        return ops.cast(ops.floor(draws[:, self.own_draws] * self.grid ** 2), "int32")

    def puzzle(self, images, draws):
        tiles, orders, missing = self.cut(images, draws), self.orders(draws), self.missing(draws)
        if "grey" not in self.damage:
            tiles = super().puzzle(images, draws)[0]["tiles"]
        gone = ops.one_hot(missing, self.grid ** 2, dtype="float32")
        gone = gone if "missing" in self.damage else ops.zeros_like(gone)
        inputs, labels = {}, {}
        light = None
        if "grey" in self.damage or "inpainting" in self.heads:
            light = lightness(tiles)
        if "jigsaw" in self.heads:
            labels["jigsaw"] = orders
        if "inpainting" in self.heads:
            labels["inpainting"] = standardized(
                ops.sum(light * gone[:, :, None, None], axis=1))
            inputs["missing"] = missing
        if "colorization" in self.heads:
            labels["colorization"] = self.colors(tiles, gone)
        if "grey" in self.damage:
            tiles = (self.single(tiles, draws) if self.one_channel else
                     ops.repeat(to_uint8(light * 2.55)[..., None], 3, axis=-1))
        if "missing" in self.damage:  # always of the same mean and deviation
            channels = 1 if "grey" in self.damage else 3
            fuzz = noise.normal(draws[:, self.own_draws + 1], (self.tile, self.tile, channels))
            fuzz = to_uint8(127.5 + 50.0 * fuzz)[:, None]
            tiles = ops.where(gone[:, :, None, None, None] > 0, fuzz, tiles)
        if set(self.heads) & {"jigsaw", "inpainting"}:
            inputs["permutations"] = orders
        return {"tiles": tiles, **inputs}, labels

    def colors(self, tiles, gone):
        sparse = tiles[:, :, _STRIDE // 2::_STRIDE, _STRIDE // 2::_STRIDE]
        sparse = sparse[:, :, :self.tile // _STRIDE, :self.tile // _STRIDE]
        ab = to_lab(ops.cast(sparse, "float32") / 255.0)[..., 1:]
        grey = ops.max(ops.abs(ab), (1, 2, 3, 4)) <= GREYEST
        asked = (gone < 0.5) & ~grey[:, None]
        return ops.where(asked[:, :, None, None], nearest_bin(ab), NO_ANSWER)

    def get_config(self):
        return {**super().get_config(), "damage": self.damage, "heads": self.heads}


def standardized(pictures):
    """`(B, h, w)` with mean 0 and deviation 1; one of a single brightness stays 0."""
    x = pictures - ops.mean(pictures, (1, 2), keepdims=True)
    deviation = ops.sqrt(ops.mean(x * x, (1, 2), keepdims=True))
    return x / ops.where(deviation > 0.2, deviation, 1.0) * ops.cast(deviation > 0.2, "float32")


@registry.register("damaged_jigsaw")
@keras.saving.register_keras_serializable(package="keras_pretext")
class DamagedJigsaw(Jigsaw):
    """Order the pieces, paint the one that is gone, colour the others: all with one backbone.

    One tile is replaced by noise, the others keep only their lightness, and they are shuffled.
    The jigsaw head is that of `Jigsaw`. The inpainting head takes the codes in the order of the
    first puzzle, zeros for the missing tile, to the missing tile's lightness: a fully connected
    layer and up-convolutions, squared error. The colorization head classifies, at an eighth of
    the resolution and in each tile for itself, the colour among 313 (Zhang et al., ECCV 2016;
    the nearest one, without rebalancing).

    As the network sees every tile by its own statistics, it could not tell the missing one's
    brightness and contrast: what it paints is compared with the standardised tile.

    Args:
        damage: of "missing", "grey", "shuffle".
        heads: of "jigsaw" (needs "shuffle"), "inpainting" ("missing"), "colorization" ("grey").
        weights: of the heads' losses; a dict from head to number.
        color_tap: the map under the colorization head; by default conv5, else the last map.
        options: of `Jigsaw`. With "grey", `grey` and `shift` have no effect, and
            `one_channel` shows one channel in the place of the lightness.

    Raises:
        ValueError: for unknown names, a head without its damage, or what `Jigsaw` refuses.
    """

    name = "damaged_jigsaw"

    def __init__(self, damage=DAMAGES, heads=HEADS, weights=None, color_tap=None, **options):
        for kind, asked, known in (("damage", damage, DAMAGES), ("head", heads, HEADS),
                                   ("weighted head", weights or (), HEADS)):
            for name in asked:
                if name not in known:
                    raise ValueError(unknown_name(kind, name, known))
        if not heads:
            raise ValueError(f"there is at least one head of {', '.join(HEADS)}. Received: none")
        for head in heads:
            if NEEDS[head] not in damage:
                raise ValueError(f"the {head} head needs the damage {NEEDS[head]!r}. "
                                 f"Received: {tuple(damage)}")
        self.damage = tuple(d for d in DAMAGES if d in damage)
        self.heads = tuple(h for h in HEADS if h in heads)
        self.weights = {"jigsaw": 1.0, "inpainting": 1.0, "colorization": 0.1, **(weights or {})}
        self.color_tap = color_tap
        if "shuffle" not in damage:  # every tile where it belongs
            grid = options.get("grid", 3)
            options = {**options, "permutations": [list(range(grid * grid))],
                       "permutations_sha256": None}
        super().__init__(**options)
        if "colorization" in heads and self.tile < _STRIDE:
            raise ValueError(f"colours are asked at every {_STRIDE}th pixel of a tile. "
                             f"Received: tile={self.tile}")

    @property
    def chance(self):
        """Of equal logits, and of painting the mean; a picture without colour costs less."""
        each = {"jigsaw": math.log(len(self.table)), "inpainting": 1.0,
                "colorization": math.log(len(AB_BINS))}
        found = {"loss": sum(self.weights[h] * each[h] for h in self.heads)}
        if "jigsaw" in self.heads:  # Keras puts the head's name before where there are several
            found["jigsaw_accuracy" if len(self.heads) > 1 else "accuracy"] = 1 / len(self.table)
        return found

    def layer(self, augment=True):
        colour = "grey" not in self.damage
        return DamagedJigsawLayer(
            self.grid, self.cell, self.tile, len(self.table), self.puzzles,
            self.grey if colour else 0.0, self.shift if colour else 0,
            self.framing if augment else self.framing.evaluation(),
            one_channel=self.one_channel, damage=self.damage, heads=self.heads)

    def objective(self):
        losses = {"jigsaw": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  "inpainting": keras.losses.MeanSquaredError(),
                  "colorization": MaskedCrossentropy()}
        metrics = {"jigsaw": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
                   "inpainting": [], "colorization": [MaskedAccuracy(name="accuracy")]}
        return {"loss": {h: losses[h] for h in self.heads},
                "loss_weights": {h: self.weights[h] for h in self.heads},
                "metrics": {h: metrics[h] for h in self.heads if metrics[h]}}

    def inputs(self):
        inputs = super().inputs()
        if not set(self.heads) & {"jigsaw", "inpainting"}:
            del inputs["permutations"]
        if "inpainting" in self.heads:
            inputs["missing"] = keras.Input((), dtype="int32", name="missing")
        return inputs

    def painted(self, codes, permutations, missing):
        """The inpainting head: float32 `(B, tile, tile)`."""
        here = 1.0 - ops.one_hot(missing, self.grid ** 2, dtype=codes.dtype)
        x = self.arranged(codes * here[:, :, None], permutations[:, :1])[:, 0]
        steps = max(1, min(5, int(math.log2(self.tile)) - 1))  # up-convolutions from 2 or 3 pixels
        side = -(-self.tile // 2 ** steps)
        x = layers.Dense(side * side * 256, activation="relu", name="paint_fc",
                         kernel_initializer="he_normal")(x)
        x = ops.reshape(x, (-1, side, side, 256))
        for k in range(1, steps + 1):
            last = {"dtype": "float32"} if k == steps else {"activation": "relu"}
            x = layers.Conv2DTranspose(1 if k == steps else 256 >> k, 4, 2, padding="same",
                                       kernel_initializer="he_normal", name=f"paint_up{k}",
                                       **last)(x)
        return x[:, :self.tile, :self.tile, 0]

    def colored(self, maps, stride, centre):
        """The colorization head: float32 logits `(B, grid**2, tile // 8, tile // 8, 313)`.

        Cell 0 of the maps is centred on pixel `centre` of a tile; places are 4, 12, 20 ...
        """
        side = self.tile // _STRIDE
        x = layers.Conv2D(256, 1, activation="relu", kernel_initializer="he_normal",
                          name="color_conv")(maps)
        x = layers.Conv2D(len(AB_BINS), 1, dtype="float32", name="color_logits")(x)
        x = at_every(x, stride, _STRIDE, side * _STRIDE, centre, start=_STRIDE // 2)
        return ops.reshape(x, (-1, self.grid ** 2, side, side, len(AB_BINS)))

    def attach(self, backbone, name="damaged_jigsaw_model", **kwargs):
        inputs, tap = self.inputs(), self.chosen_tap(backbone)
        maps = [t for t in backbone.taps if not t.startswith("fc")]
        color_tap = self.color_tap or ("conv5" if "conv5" in maps else maps[-1])
        features = self.features(backbone, inputs["tiles"], [tap, color_tap])
        outputs = {}
        if "permutations" in inputs:
            codes = self.codes(features[tap], tap)
        if "jigsaw" in self.heads:
            outputs["jigsaw"] = self.ordered(codes, inputs["permutations"])
        if "inpainting" in self.heads:
            outputs["inpainting"] = self.painted(codes, inputs["permutations"], inputs["missing"])
        if "colorization" in self.heads:
            outputs["colorization"] = self.colored(
                features[color_tap], backbone.taps[color_tap].stride,
                centre_of(backbone, color_tap, self.tile))
        model = PretextModel(inputs, outputs, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        """The whole tiles, the first damaged puzzle, and the answers that the heads should give."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            framing = layer.framing
            framed = framing(ops.convert_to_tensor(image),
                             ops.convert_to_tensor(draw[:framing.num_draws]))[None]
            own = ops.convert_to_tensor(draw[None, framing.num_draws:])
            whole = ops.convert_to_numpy(layer.cut(framed, own))[0]
            inputs, labels = layer.puzzle(framed, own)
            label = int(layer.orders(own)[0, 0])
            order = self.table[label].tolist()
            row = [("tiles", self.board(whole)),
                   (f"{label}: {' '.join(map(str, order))}",
                    self.board(ops.convert_to_numpy(inputs["tiles"])[0], order))]
            if "inpainting" in self.heads:
                paint = 127.5 + 50.0 * ops.convert_to_numpy(labels["inpainting"])[0]
                paint = np.clip(paint, 0, 255).astype("uint8")
                row.append((f"missing: {int(inputs['missing'][0])}",
                            np.repeat(paint[..., None], 3, -1)))
            if "colorization" in self.heads:
                row.append(("colours", self.board(self.colors_shown(
                    ops.convert_to_numpy(labels["colorization"])[0]))))
            rows.append(row)
        return rows

    def colors_shown(self, bins):
        """Tiles of the bins' colours at one lightness, grey where none is asked."""
        ab = np.where(bins[..., None] == NO_ANSWER, 0.0, AB_BINS[bins])
        lab = np.concatenate([np.full((*bins.shape, 1), 60.0), ab], -1)
        small = ops.convert_to_numpy(from_lab(lab))
        place = np.minimum(np.arange(self.tile) // _STRIDE, small.shape[1] - 1)
        return np.round(small[:, place][:, :, place] * 255).astype("uint8")

    def get_config(self):
        return {**super().get_config(), "damage": self.damage, "heads": self.heads,
                "weights": self.weights, "color_tap": self.color_tap}
