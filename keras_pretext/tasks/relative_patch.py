"""Context prediction: on which side of one patch another lies (Doersch et al., ICCV 2015)."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.image import patches as cutting
from keras_pretext.image.chromatic import drop_channels, project
from keras_pretext.image.color import grey_of_lightness
from keras_pretext.layers.batch_normalization import BatchNormalization
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry

COLORS = ("drop", "project", "lightness", "keep")
_DRAWS = 6  # of a patch: two for the jitter, two for the colour, two for the pixelation


def neighbours(grid):
    """Every ordered pair of neighbouring cells of a `grid` by `grid` raster, and its label.

    The label is the place of the second cell as seen from the first, in raster order without the
    centre: 0 up-left, 1 up, 2 up-right, 3 left, 4 right, 5 down-left, 6 down, 7 down-right.

    Returns:
        int32 arrays `first`, `second`, `label`.
    """
    rows = []
    for first in range(grid * grid):
        for place, (dy, dx) in enumerate((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
            y, x = first // grid + dy, first % grid + dx
            if (dy or dx) and 0 <= y < grid and 0 <= x < grid:
                rows.append((first, y * grid + x, place - (place > 4)))
    return tuple(np.array(rows, "int32").T)


@keras.saving.register_keras_serializable(package="keras_pretext")
class RelativePatchLayer(PretextLayer):
    """A grid of patches, each jittered, pixelated and robbed of colour on its own.

    Gives float32 `(grid**2, patch, patch, 3)` with mean 0, in raster order, and the labels of
    `neighbours`. With `flat_field` its root mean square is 50, or 0 in a patch of one colour.
    """

    def __init__(self, patch, gap, jitter, grid, color, pixelate, framing, flat_field=False,
                 **kwargs):
        framing = framings.get(framing)
        super().__init__(framing, framing.num_draws + _DRAWS * grid * grid, **kwargs)
        self.patch, self.gap, self.jitter, self.grid = patch, gap, jitter, grid
        self.color, self.pixelate, self.flat_field = color, pixelate, flat_field

    def cut(self, images, draws):
        """The jittered patches as they are in the picture: uint8 `(B, grid**2, patch, patch, 3)`.
        """
        top, left = cutting.grid_origins(self.grid, self.patch + self.gap)
        shift = ops.cast(ops.floor(draws[..., :2] * (2 * self.jitter + 1)), "int32")
        return cutting.cut(images, top + shift[..., 0], left + shift[..., 1], self.patch)

    def puzzle(self, images, draws):
        count = self.grid * self.grid
        draws = ops.reshape(draws[:, :count * _DRAWS], (-1, count, _DRAWS))
        x = self.cut(images, draws)
        if self.color == "lightness":
            x = ops.repeat(grey_of_lightness(x), 3, -1)
        x = ops.cast(x, "float32")
        if self.flat_field:
            x = cutting.flat_field(x)
        if self.pixelate:
            low, high = (self.patch * 10 / 96) ** 2, (self.patch - 1) ** 2
            side = ops.floor(ops.sqrt(low + (high - low) * draws[..., 4]))
            side = ops.where(draws[..., 5] < self.pixelate, side, self.patch)
            x = cutting.pixelate(x, ops.cast(side, "int32"))
        if self.color == "drop":
            x = drop_channels(x, ops.cast(draws[..., 2] * 3.0, "int32"), draws[..., 3])
        elif self.color == "project":
            x = project(x)
        x = x - ops.mean(x, (2, 3), keepdims=True)
        if self.flat_field:  # dark patches have little contrast
            power = ops.sqrt(ops.mean(x * x, (2, 3, 4), keepdims=True))
            x = x * ops.where(power > 0.5, 50.0 / ops.maximum(power, 0.5), 0.0)
        label = ops.convert_to_tensor(neighbours(self.grid)[2])
        return x, ops.broadcast_to(label[None], (ops.shape(images)[0], label.shape[0]))

    def get_config(self):
        return {**super().get_config(), "patch": self.patch, "gap": self.gap,
                "jitter": self.jitter, "grid": self.grid, "color": self.color,
                "pixelate": self.pixelate, "framing": framings.serialize(self.framing),
                "flat_field": self.flat_field}


@registry.register("relative_patch")
@keras.saving.register_keras_serializable(package="keras_pretext")
class RelativePatch(Task):
    """Eight-way: where the second of two neighbouring patches lies as seen from the first.

    Every patch of a grid is paired with all its neighbours, in both orders, and encoded once.
    The gap and the jitter keep lines from running across patches; colour dropping (or projection)
    hides chromatic aberration; a third of the patches is shrunk and enlarged, so that resampling
    tells nothing; every patch has its own mean removed.

    Args:
        patch, gap, jitter: in pixels of the framed picture: 96, 48 and 7 in the paper. Smaller
            pictures keep the ratios: gap half a patch, jitter 7 % of it.
        grid: patches along a side; 3 gives 40 pairs a picture.
        color: "drop" (keep one channel at random), "project" (remove the green-magenta axis),
            "lightness" (the greys that colorization sees: the harmonised input of Doersch and
            Zisserman, ICCV 2017) or "keep", which leaves the shortcut open.
        pixelate: share of the patches that are shrunk, to as little as 10x10 of 96x96.
        framing: by default `area_crop` with 150,000 to 450,000 pixels, scaled to the patch.
        hidden: widths of the layers above the pair: fc7 and fc8 of the paper.
        flat_field: remove each patch's slope of light, and give all the same contrast (that of the
            authors' code: root mean square 50), against vignettes; not in the paper.
        tap: the backbone's tap that is compared; its last by default. A map is flattened.
        pool: average the map over `pool` by `pool` cells first, of trunks without fully connected
            layers; not by default.
    """

    name = "relative_patch"

    def __init__(self, patch=96, gap=48, jitter=7, grid=3, color="drop", pixelate=0.33,
                 framing=None, hidden=(4096, 4096), flat_field=False, tap=None, pool=None):
        if grid < 2 or patch < 2 or gap < 0 or jitter < 0:
            raise ValueError("grid and patch are at least 2, gap and jitter at least 0. Received: "
                             f"grid={grid}, patch={patch}, gap={gap}, jitter={jitter}")
        if gap and 2 * jitter >= gap:
            raise ValueError("jittered neighbours must not touch: twice the jitter is less than "
                             f"the gap. Received: 2 * {jitter} >= {gap}")
        if color not in COLORS:
            raise ValueError(unknown_name("color", color, COLORS))
        if not 0 <= pixelate <= 1:
            raise ValueError(f"pixelate is a share in [0, 1]. Received: {pixelate}")
        size = grid * patch + (grid - 1) * gap + 2 * jitter
        if framing is None:
            unit = (patch / 96) ** 2
            framing = framings.AreaCrop(size, (150_000 * unit, 450_000 * unit))
        self.framing = framings.get(framing)
        if self.framing.size != size:
            raise ValueError(f"the framing's size is that of the patch grid: {grid} patches of "
                             f"{patch}, gaps of {gap} and a jitter of {jitter} on both sides need "
                             f"{size} pixels. Received: {self.framing.size}")
        self.patch, self.gap, self.jitter, self.grid = patch, gap, jitter, grid
        self.color, self.pixelate, self.hidden, self.tap = color, pixelate, tuple(hidden), tap
        self.pool = pool
        self.image_size, self.flat_field, self.patch_side = size, bool(flat_field), patch
        self.num_draws = self.framing.num_draws + _DRAWS * grid * grid

    @property
    def chance(self):
        """Of knowing how often each label comes: sides are more frequent than corners."""
        share = np.bincount(neighbours(self.grid)[2], minlength=8) / len(neighbours(self.grid)[2])
        return {"loss": -sum(float(p) * math.log(p) for p in share),
                "accuracy": float(share.max())}

    def layer(self, augment=True):
        framing = self.framing if augment else self.framing.evaluation()
        return RelativePatchLayer(self.patch, self.gap, self.jitter, self.grid, self.color,
                                  self.pixelate, framing, self.flat_field)

    def objective(self):
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def attach(self, backbone, name="relative_patch_model", **kwargs):
        count = self.grid * self.grid
        inputs = keras.Input((count, self.patch, self.patch, 3), name="patches")
        # the backbone subtracts its mean image: patches that have mean 0 get it first
        x = ops.reshape(inputs, (-1, self.patch, self.patch, 3))
        x = layers.Rescaling(1.0, list(backbone.mean), dtype="float32", name="recentre")(x)
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(x)
        if self.pool:
            if x.shape[1] % self.pool:
                raise ValueError(f"pool divides the map's side, {x.shape[1]}. "
                                 f"Received: {self.pool}")
            x = layers.AveragePooling2D(x.shape[1] // self.pool, name="cells")(x)
        x = layers.Flatten(name="flat")(x)
        x = ops.reshape(x, (-1, count, x.shape[-1]))
        first, second, _ = neighbours(self.grid)
        x = layers.Concatenate(name="pairs")([ops.take(x, first, axis=1),
                                              ops.take(x, second, axis=1)])
        for k, units in enumerate(self.hidden):
            normed = k == 0
            x = layers.Dense(units, use_bias=not normed, name=f"pair_fc{k + 7}")(x)
            if normed:  # without scale and shift, as in the authors' network
                x = BatchNormalization(center=False, scale=False, name=f"pair_fc{k + 7}_bn")(x)
            x = layers.ReLU(name=f"pair_fc{k + 7}_relu")(x)
        logits = layers.Dense(8, dtype="float32", name="pair_logits")(x)
        model = PretextModel(inputs, logits, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        layer, rows = self.layer(), []
        count = self.grid * self.grid
        first, second, label = neighbours(self.grid)
        middle = count // 2
        named = {int(s): int(n) for f, s, n in zip(first, second, label, strict=True)
                 if f == middle}
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            framing = layer.framing
            framed = framing(ops.convert_to_tensor(image), ops.convert_to_tensor(
                draw[:framing.num_draws]))
            numbers = draw[framing.num_draws:].reshape(1, count, _DRAWS)
            raw = ops.convert_to_numpy(layer.cut(framed[None], ops.convert_to_tensor(numbers)))[0]
            seen = ops.convert_to_numpy(layer.framed(framed, ops.convert_to_tensor(draw))[0])
            seen = np.clip(seen + 127.5, 0, 255).astype("uint8")
            row = [("picture", ops.convert_to_numpy(framed)), ("first patch", raw[middle]),
                   ("as the network sees it", seen[middle])]
            rows.append(row + [(f"label {named[p]}", raw[p]) for p in sorted(named)])
        return rows

    def get_config(self):
        return {"patch": self.patch, "gap": self.gap, "jitter": self.jitter, "grid": self.grid,
                "color": self.color, "pixelate": self.pixelate,
                "framing": framings.serialize(self.framing), "hidden": self.hidden,
                "flat_field": self.flat_field, "tap": self.tap, "pool": self.pool}
