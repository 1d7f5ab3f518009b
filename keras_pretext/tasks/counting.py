"""Counting: what is in a picture is what is in its tiles (Noroozi et al., ICCV 2017)."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.image.framing import to_uint8
from keras_pretext.image.halving import FILTERS, halve
from keras_pretext.layers.patch_standardization import PatchStandardization
from keras_pretext.losses.counting import (
    CountingLoss,
    counting_accuracy,
    other_distance,
    pair_distance,
)
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@keras.saving.register_keras_serializable(package="keras_pretext")
class CountingLayer(PretextLayer):
    """The picture at half its side, then its four tiles in raster order: uint8 `(5, t, t, 3)`.

    One draw chooses the resampling filter, one whether all five pictures are grey. The
    pseudolabel is 0.0: what the counts of the first less those of the others should be.
    """

    def __init__(self, filters, grey, framing, **kwargs):
        framing = framings.get(framing)
        super().__init__(framing, framing.num_draws + 2, **kwargs)
        self.filters, self.grey = tuple(filters), grey

    def puzzle(self, images, draws):
        tile = self.framing.size // 2
        luma = ops.sum(ops.cast(images, "float32") * np.array(_LUMA, "float32"), -1, keepdims=True)
        grey = (draws[:, 1] < self.grey)[:, None, None, None]
        images = ops.where(grey, ops.broadcast_to(to_uint8(luma), ops.shape(images)), images)
        which = ops.cast(ops.floor(draws[:, 0] * len(self.filters)), "int32")
        pictures = [halve(images, self.filters, which),
                    *(images[:, y:y + tile, x:x + tile] for y in (0, tile) for x in (0, tile))]
        return ops.stack(pictures, axis=1), ops.zeros_like(draws[:, 0])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "grey": self.grey,
                "framing": framings.serialize(self.framing)}


@registry.register("counting")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Counting(Task):
    """Vectors of counts for which a picture equals the sum of its four tiles.

    The network sees a picture at half its side and the four quarters of the picture, all `tile`
    pixels square, and gives each `counts` numbers of at least 0. The loss draws the first vector
    to the sum of the other four, and that of another picture away from it (`CountingLoss`).
    The filter that halves the picture is chosen for each picture, so that its trace cannot be
    counted; most pictures are grey, so that chromatic aberration does not tell a tile's place;
    crops are random, so that the borders of tiles are nowhere in particular.

    Args:
        tile: side of what the network sees, in pixels: 114 in the paper, from crops of 228.
        counts: length of the vectors: 1000 in the paper.
        margin: on the squared distance of whole vectors: 10 in the paper.
        filters: among "bicubic", "bilinear", "lanczos" and "area"; one alone leaves a shortcut.
        grey: share of the pictures whose colour is removed; 0 leaves a shortcut.
        framing: gives pictures of `2 * tile`; by default a random crop of a picture whose short
            side is 256/228 of that.
        standardize: give each channel of all five pictures the same mean and deviation, else a
            picture is told from another by its cast of colour; not in the paper.
        tap: the backbone's tap under the head; its last one by default. Maps are averaged.
    """

    name = "counting"

    def __init__(self, tile=114, counts=1000, margin=10.0, filters=tuple(FILTERS), grey=2 / 3,
                 framing=None, standardize=False, tap=None):
        if tile < 8 or counts < 1:
            raise ValueError("tile is at least 8 and counts at least 1. "
                             f"Received: tile={tile}, counts={counts}")
        filters = (filters,) if isinstance(filters, str) else tuple(filters)
        for name in filters:
            if name not in FILTERS:
                raise ValueError(unknown_name("resampling filter", name, FILTERS))
        if not filters:
            raise ValueError(f"there is at least one filter among {', '.join(FILTERS)}. "
                             f"Received: {filters}")
        if not 0 <= grey <= 1:
            raise ValueError(f"grey is a share in [0, 1]. Received: {grey}")
        size = 2 * tile
        if framing is None:
            framing = framings.ResizeCrop(size, round(size * 256 / 228))
        self.framing = framings.get(framing)
        if self.framing.size != size:
            raise ValueError(f"the framing's size is two tiles of {tile} pixels, {size}. "
                             f"Received: {self.framing.size}")
        self.loss = CountingLoss(margin)
        self.tile, self.counts, self.margin, self.filters = tile, counts, margin, filters
        self.grey, self.tap, self.image_size = grey, tap, size
        self.standardize = bool(standardize)
        self.num_draws = self.framing.num_draws + 2

    @property
    def chance(self):
        """Of counts that are all zero: the loss is the margin; which is nearer is a guess."""
        return {"loss": float(self.margin), "accuracy": 0.5}

    def layer(self, augment=True):
        framing = self.framing if augment else self.framing.evaluation()
        return CountingLayer(self.filters, self.grey, framing)

    def objective(self):
        """Metrics: `accuracy`, the share of pictures whose own counts are nearer to the sum of
        their tiles than another picture's, and the two squared distances.
        """
        mean = keras.metrics.MeanMetricWrapper
        return {"loss": self.loss,
                "metrics": [mean(counting_accuracy, name="accuracy"),
                            mean(pair_distance, name="pair_distance"),
                            mean(other_distance, name="other_distance")]}

    def attach(self, backbone, name="counting_model", **kwargs):
        inputs = keras.Input((5, self.tile, self.tile, 3), name="pictures")
        x = ops.reshape(inputs, (-1, self.tile, self.tile, 3))
        if self.standardize:
            x = PatchStandardization(backbone.mean, backbone.std, name="own_statistics")(x)
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(x)
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        x = layers.Dense(self.counts, activation="relu", dtype="float32", name="counts",
                         kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))(x)
        counts = ops.reshape(x, (-1, 5, self.counts))
        model = PretextModel(inputs, counts, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            pictures, _ = layer(ops.convert_to_tensor(image), ops.convert_to_tensor(draw))
            name = self.filters[int(draw[self.framing.num_draws] * len(self.filters))]
            titles = [f"half, {name}", *(f"tile {k}" for k in range(1, 5))]
            rows.append([*zip(titles, ops.convert_to_numpy(pictures), strict=True)])
        return rows

    def get_config(self):
        return {"tile": self.tile, "counts": self.counts, "margin": self.margin,
                "filters": self.filters, "grey": self.grey,
                "framing": framings.serialize(self.framing), "standardize": self.standardize,
                "tap": self.tap}
