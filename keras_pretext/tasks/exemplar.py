"""Exemplar-CNN: tell patches apart, however they are transformed (Dosovitskiy et al., NIPS 2014;
TPAMI 2016)."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.image import geometry, gradients, photometric
from keras_pretext.layers.patch_standardization import PatchStandardization
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry

# Largest shift, as a share of the patch, and range of the scale: the paper's, the code's.
RANGES = {"paper": (0.2, (0.7, 1.4)), "code": (0.25, (0.5**0.5, 2**0.5))}
DEGREES = 20.0
TRIES = 8  # proposals of a geometry, of which the first that lies in the picture is taken
_COLOR_DRAWS = 10  # three axes; power, factor and addend of saturation and value; hue


def region_size(patch, ranges):
    """Side of what a seed's transformed patches can reach, of the parity of the patch."""
    shift, (least, _) = RANGES[ranges]
    turn = math.cos(math.radians(DEGREES)) + math.sin(math.radians(DEGREES))
    moved = 2 * shift * (1 / least if ranges == "code" else 1)
    side = math.ceil(patch * (turn / least + moved))
    return side + (side - patch) % 2


@keras.saving.register_keras_serializable(package="keras_pretext")
class ExemplarLayer(PretextLayer):
    """A random transformation of the patch in the middle of a seed's region.

    Gives uint8 `(patch, patch, 3)`; the pipeline adds the seed's label (`uses_labels`). In a
    region, (0, 0, 0) is outside the picture. Windows that reach there are not shown: the first of
    8 proposals that does not is taken, else the first one, moved and shrunk until it fits.

    Args:
        patch: side of the patch in pixels.
        ranges: "paper" or "code".
        color: mean and axes of the data's colours, see `photometric.scale_axes`.
        visits: of each seed in an epoch.
        start: None, or `(classes, epochs)`: in these first epochs only those classes are shown.
        other: draws become others, u to u + 0.5 modulo 1: for testing.
    """

    uses_labels = True

    def __init__(self, patch, ranges, color, visits, start, other, framing, **kwargs):
        framing = framings.get(framing)
        super().__init__(framing, framing.num_draws + 4 * TRIES + _COLOR_DRAWS, **kwargs)
        self.patch, self.ranges, self.color, self.other = patch, ranges, color, other
        self.visits, self.start = visits, start

    def shown(self, epoch, index):
        if self.start is None:
            return index
        classes, epochs = self.start
        return ops.where(epoch < epochs, index % classes, index)

    def geometry(self, regions, draws):
        """Row and column of the middle, side and degrees of the window: each float32 `(B,)`."""
        reach, (low, high) = RANGES[self.ranges]
        middle = (self.framing.size - 1) / 2
        numbers = ops.reshape(draws[:, :4 * TRIES], (-1, TRIES, 4))
        side = self.patch / (low + (high - low) * numbers[..., 2])
        unit = side[..., None] if self.ranges == "code" else self.patch
        centre = middle + (numbers[..., :2] * 2.0 - 1.0) * (reach * unit)
        degrees = (numbers[..., 3] * 2.0 - 1.0) * DEGREES
        radians = degrees * (math.pi / 180.0)  # `half`: from the middle to the outermost pixels
        half = (ops.cos(radians) + ops.abs(ops.sin(radians))) * side * (0.5 - 0.5 / self.patch)

        first, last = _bounds(regions)  # (B, 2)
        slack = 1e-3
        fits = ops.all((centre - half[..., None] >= first[:, None] - slack)
                       & (centre + half[..., None] <= last[:, None] + slack), -1)
        chosen = ops.argmax(ops.cast(fits, "int32"), 1)[:, None]
        side, degrees, half = (ops.take_along_axis(x, chosen, 1)[:, 0]
                               for x in (side, degrees, half))
        centre = ops.take_along_axis(centre, chosen[..., None], 1)[:, 0]
        shrink = ops.minimum(1.0, ops.min(last - first, -1) * 0.5 / half)
        half = (half * shrink)[:, None]
        centre = ops.minimum(ops.maximum(centre, first + half), last - half)
        return centre[:, 0], centre[:, 1], side * shrink, degrees

    def colors(self, draws):
        """Numbers of the colour transformation, each float32: `axes` `(B, 3)`, the rest `(B,)`."""
        u = draws[:, 4 * TRIES:4 * TRIES + _COLOR_DRAWS]
        if self.ranges == "code":
            normal = ops.erfinv(ops.clip(2.0 * u[:, :3] - 1.0, -1 + 1e-6, 1 - 1e-6)) * 2**0.5
            axes = 2.0 ** (normal * ops.convert_to_tensor([0.5, 1.0, 1.0]))  # brightness first
            factor = 2.0 ** (u[:, 5:7] - 0.5)
        else:
            axes, factor = 2.0 ** (2.0 * u[:, :3] - 1.0), 0.7 * 2.0 ** u[:, 5:7]
        power = 4.0 ** (2.0 * u[:, 3:5] - 1.0)
        addend = 0.2 * u[:, 7:9] - 0.1
        return {"axes": axes, "hue": 0.2 * u[:, 9] - 0.1,
                "saturation": (power[:, 0], factor[:, 0], addend[:, 0]),
                "value": (power[:, 1], factor[:, 1], addend[:, 1])}

    def puzzle(self, images, draws):
        if self.other:
            draws = ops.mod(draws + 0.5, 1.0)
        places = geometry.turned_square(*self.geometry(images, draws), self.patch)
        x = geometry.sample(images, *places) * (1.0 / 255.0)
        numbers = self.colors(draws)
        mean, axes = self.color
        x = photometric.scale_axes(x, numbers["axes"], np.asarray(mean) / 255.0, axes)
        x = ops.clip(x, 0.0, 1.0)
        if self.ranges == "code":
            x = photometric.stretch(x)
        x = photometric.to_hsv(x)
        x = ops.stack([x[..., 0] + numbers["hue"][:, None, None],
                       photometric.bend(x[..., 1], *numbers["saturation"]),
                       photometric.bend(x[..., 2], *numbers["value"])], -1)
        x = framings.to_uint8(photometric.from_hsv(x) * 255.0)
        return x, ops.zeros((ops.shape(images)[0],), "int32")

    def get_config(self):
        return {**super().get_config(), "patch": self.patch, "ranges": self.ranges,
                "color": self.color, "visits": self.visits, "start": self.start,
                "other": self.other, "framing": framings.serialize(self.framing)}


def _bounds(regions):
    """First and last row and column that are not all (0, 0, 0): float32 `(B, 2)` twice."""
    inside = ops.cast(ops.any(regions > 0, -1), "int32")
    lines = ops.stack([ops.max(inside, 2), ops.max(inside, 1)], 1)  # (B, 2, size)
    first = ops.argmax(lines, -1)
    last = regions.shape[1] - 1 - ops.argmax(ops.flip(lines, -1), -1)
    return ops.cast(first, "float32"), ops.cast(last, "float32")


@registry.register("exemplar")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Exemplar(Task):
    """Every seed patch is a class of its own; its members are transformations of it.

    Seeds are drawn before training: one of a picture, at four scales, where there is much gradient
    (`prepare`). Each visit of a seed shifts, scales, turns and recolours it anew. There are no
    held-out pictures of such classes: tests use other draws of the same seeds.

    Args:
        num_classes: seeds; 16,000 in the paper's final networks, 50 to 32,000 in its study.
        patch: side of the patches in pixels.
        ranges: "paper" or "code", whose shifts reach 0.25 of the scaled patch instead of 0.2 of the
            patch, and which draws the contrast from a normal distribution and stretches the
            values first. Powers and factors are drawn evenly on a logarithmic scale.
        visits: of each seed in an epoch, each with a transformation of its own; the paper makes
            100 to 150 patches of a seed.
        start: None, or `(classes, epochs)`: begin with some classes only, for a loss that does
            not move from chance with all of them.
        weight_decay: of the backbone's option; the classifier has four times as much.
        color: mean and principal axes of colours; `prepare` measures them.
        standardize: give each channel of every patch the same mean and deviation, against casts
            of colour, by which a seed is known whatever it shows; not in the paper.
        tap: the backbone's tap under the classifier; its last one by default.

    Raises:
        ValueError: for options that make no sense; from `prepare`, for more classes than pictures.
    """

    name = "exemplar"

    def __init__(self, num_classes=16000, patch=32, ranges="paper", visits=1, start=None,
                 weight_decay=0.0, color=None, standardize=False, tap=None):
        if num_classes < 2 or patch < gradients.CELLS or visits < 1:
            raise ValueError(f"num_classes is at least 2, patch at least {gradients.CELLS}, visits "
                             f"at least 1. Received: num_classes={num_classes}, patch={patch}, "
                             f"visits={visits}")
        if ranges not in RANGES:
            raise ValueError(unknown_name("ranges", ranges, RANGES))
        if start is not None and (len(start) != 2 or not 0 < start[0] <= num_classes):
            raise ValueError(f"start is (classes, epochs), with 1 to {num_classes} classes. "
                             f"Received: {start!r}")
        self.num_classes, self.patch, self.ranges, self.tap = num_classes, patch, ranges, tap
        self.visits, self.start = visits, None if start is None else tuple(start)
        self.weight_decay, self.color, self.standardize = weight_decay, color, bool(standardize)
        self.image_size = region_size(patch, ranges)
        self.framing = framings.CentreCrop(self.image_size)
        self.num_draws = self.framing.num_draws + 4 * TRIES + _COLOR_DRAWS

    @property
    def chance(self):
        return {"loss": math.log(self.num_classes), "accuracy": 1 / self.num_classes}

    # -- seeds ------------------------------------------------------------------------------

    def prepare(self, source, seed):
        """Draws the seeds, and measures the colours of the pictures that they are in.

        Returns:
            dict: `picture`, int32 `(num_classes,)`, the place of each seed's picture; `window`,
            float32 `(num_classes, 3)`, top, left and side of the seed in it, in pixels;
            `color_mean` and `color_axes`, see `photometric.principal_axes`.
        """
        count, total = self.num_classes, source.num_examples
        if count > total:
            raise ValueError(f"a picture gives one seed: {count} surrogate classes need as many "
                             f"pictures, and there are {total}. Use num_classes={total} or fewer, "
                             f"or more pictures. Received: num_classes={count}")
        energies = np.zeros((total, len(gradients.SCALES)), "float32")
        for index, images in source.pictures(np.arange(total)):
            energies[index] = self._energies(images)
        usable = int((energies > 0).any(1).sum())
        if count > usable:
            raise ValueError(f"{total - usable} of {total} pictures are of one colour or smaller "
                             f"than {self.patch} pixels and give no seed: use num_classes="
                             f"{usable} or fewer. Received: num_classes={count}")
        rng = np.random.Generator(np.random.Philox(key=[seed, 1 << 41]))
        picture, scale = gradients.draw_pictures(energies, count, rng)
        windows, sums, k = np.empty((count, 3), "float32"), [0, 0.0, 0.0], 0
        for _, images in source.pictures(picture):
            for image in images:
                windows[k] = gradients.draw_window(image, self.patch, gradients.SCALES[scale[k]],
                                                   rng)
                k += 1
                colors = image[::2, ::2].reshape(-1, 3).astype("float64")
                for place, part in enumerate((len(colors), colors.sum(0), colors.T @ colors)):
                    sums[place] = sums[place] + part
        mean, axes = photometric.principal_axes(*sums)
        return {"picture": picture.astype("int32"), "window": windows, "color_mean": mean,
                "color_axes": axes}

    def _energies(self, images):
        """Mean energy of the patches of pictures: `(n, scales)`, 0 where there is no patch."""
        maps = [gradients.energy(images, self.patch, scale) for scale in gradients.SCALES]
        return np.stack([m.mean((1, 2)) if m.size else np.zeros(len(images), "float32")
                         for m in maps], 1)

    def adopt(self, prepared):
        self.color = [prepared["color_mean"].tolist(), prepared["color_axes"].tolist()]

    def examples(self, source, prepared):
        """The seeds' regions, as large as any window of them, and the seeds' numbers as labels."""
        windows, parts, done = prepared["window"], [], 0
        for index, images in source.pictures(prepared["picture"]):
            parts.append(self._regions(images, windows[done:done + len(index)]))
            done += len(index)
        return np.concatenate(parts), np.arange(done)

    def _regions(self, images, windows):
        """Squares around windows, at the size where these are `patch` pixels: uint8.

        Outside the picture they are (0, 0, 0); black inside it becomes (1, 1, 1).
        """
        size = self.image_size
        margin = windows[:, 2:] * ((size - self.patch) / 2 / self.patch)
        corner, extent = windows[:, :2] - margin, windows[:, 2:] + 2 * margin
        top, left, side = (ops.convert_to_tensor(np.ascontiguousarray(x, "float32"))
                           for x in (*corner.T, extent[:, 0]))
        out = ops.convert_to_numpy(framings.to_uint8(framings.resample(
            ops.convert_to_tensor(images), top, left, side, side, size)))
        place = corner[:, :, None] + (np.arange(size) + 0.5) * (extent / size)[:, :, None]
        inside = (place >= 0) & (place < np.array(images.shape[1:3])[:, None])  # (n, 2, size)
        inside = (inside[:, 0, :, None] & inside[:, 1, None, :])[..., None]
        lifted = np.maximum(out, (out.max(-1, keepdims=True) == 0).astype("uint8"))
        return np.where(inside, lifted, 0).astype("uint8")

    # -- the contract -----------------------------------------------------------------------

    def layer(self, augment=True):
        """The ExemplarLayer; with `augment=False` it transforms too, by other draws."""
        color = self.color or [[123.675, 116.28, 103.53], photometric.IMAGENET_AXES]
        visits, start = (self.visits, self.start) if augment else (1, None)
        return ExemplarLayer(self.patch, self.ranges, color, visits, start, not augment,
                             self.framing)

    def objective(self):
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def diagnose(self, trainer):
        """While `start` rules, and a while after: the loss against chance among what is shown."""
        if self.start is None:
            return None
        classes, epochs = self.start
        since = trainer.step - 1 - epochs * trainer.steps_per_epoch
        if since < 0:
            share = trainer.health.mean / math.log(max(classes, 2))
            return f"{classes} of {self.num_classes} classes: loss {share:.0%} of their chance"
        if since * trainer.recipe.batch_size < trainer.health.patience:
            share = trainer.health.mean / self.chance["loss"]
            return f"all {self.num_classes} classes now: loss {share:.0%} of chance"
        return None

    def attach(self, backbone, name="exemplar_model", **kwargs):
        inputs = keras.Input((self.patch, self.patch, 3), name="patches")
        x = inputs
        if self.standardize:
            x = PatchStandardization(backbone.mean, backbone.std, name="own_statistics")(x)
        x = backbone.extractor(self.tap or [*backbone.taps][-1])(x)
        x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
        decay = 4 * self.weight_decay / 2  # L2(x) has the gradient 2 x w
        logits = layers.Dense(
            self.num_classes, dtype="float32", name="logits",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.005),
            bias_initializer=keras.initializers.Constant(0.1),
            kernel_regularizer=keras.regularizers.L2(decay) if decay else None)(x)
        model = PretextModel(inputs, logits, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws, samples=6):
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            energies = self._energies(image[None])
            if not energies.any():
                raise ValueError(f"a picture of one colour, or smaller than {self.patch} pixels, "
                                 f"gives no seed. Received: shape {image.shape}")
            rng = np.random.Generator(np.random.Philox(key=int(draw[0] * 2**24)))
            (scale,) = gradients.draw_pictures(energies, 1, rng)[1]
            window = gradients.draw_window(image, self.patch, gradients.SCALES[scale], rng)
            region = self._regions(image[None], window[None])
            numbers = rng.random((samples, layer.num_draws), dtype="float32")
            shown, _ = layer(ops.convert_to_tensor(np.repeat(region, samples, 0)),
                             ops.convert_to_tensor(numbers))
            edge = (self.image_size - self.patch) // 2
            seed = region[0, edge:edge + self.patch, edge:edge + self.patch]
            rows.append([("picture", _outlined(image, window)), ("seed patch", seed),
                         *((f"transformed {k + 1}", x)
                           for k, x in enumerate(ops.convert_to_numpy(shown)))])
        return rows

    def get_config(self):
        return {"num_classes": self.num_classes, "patch": self.patch, "ranges": self.ranges,
                "visits": self.visits, "start": self.start, "weight_decay": self.weight_decay,
                "color": self.color, "standardize": self.standardize, "tap": self.tap}


def _outlined(image, window):
    """A picture with a frame around a window, cut to the square that is shown."""
    out = np.array(image)
    top, left, side = (int(round(float(x))) for x in window)
    width = max(1, min(image.shape[:2]) // 96)
    for y, x, h, w in ((top, left, width, side), (top + side - width, left, width, side),
                       (top, left, side, width), (top, left + side - width, side, width)):
        out[y:y + h, x:x + w] = (255, 40, 40)
    short = min(image.shape[:2])
    start = np.clip(np.array([top, left]) + side // 2 - short // 2, 0,
                    np.array(image.shape[:2]) - short)
    return out[start[0]:start[0] + short, start[1]:start[1] + short]
