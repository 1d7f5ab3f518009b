"""Shortcuts: what of a pretext task can be solved in pictures that show nothing."""

import dataclasses
import io

import keras
import numpy as np
from keras import layers
from PIL import Image

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalized
from keras_pretext.data import pipeline
from keras_pretext.data.arrays import ArraySource
from keras_pretext.losses.noise_targets import sphere_points
from keras_pretext.registry import Registry
from keras_pretext.training.pretext_metrics import evaluate, forward

probes = Registry("audit probe")
LIMIT = 0.05
LARGE = 0.25  # a share of compression that may be as large is not called closed
PUZZLES = ("rotation", "relative_patch", "jigsaw", "damaged_jigsaw")
GROUPS = 32  # of pictures with one cast, where the answer is the picture itself


@dataclasses.dataclass
class AuditRow:
    """What a tiny network made of pictures without content.

    Attributes:
        probe: the kind of pictures.
        metric: name of the task's metric.
        found, chance: its value on held-out pictures, and that of knowing nothing.
        solved: the share of the way from chance to 1 that was gone without content.
        error: the standard error of `solved`, from the held-out batches.
        leaks: whether `solved` is more than the limit and two errors.
    """

    probe: str
    metric: str
    found: float
    chance: float
    solved: float
    error: float
    leaks: bool

    def __str__(self):
        verdict = "LEAKS" if self.leaks else "closed"
        return (f"{self.probe:10} {self.metric} {self.found:.3f}, chance {self.chance:.3f}: "
                f"{max(0.0, self.solved):4.0%} \N{PLUS-MINUS SIGN} {self.error:.0%} solved without "
                f"content, {verdict}")


@dataclasses.dataclass
class CompressionRow:
    """What a trained model makes of the same pictures, never compressed at their size and as JPEG.

    Attributes:
        metric: name of the task's metric.
        plain, compressed, chance: its value on both, and that of knowing nothing.
        side, quality, pictures: of the pictures, and their number.
        share: of what is above chance on compressed pictures, the part that is not there without.
        error: the standard error of `share`, as of independent pictures.
        leaks: whether `share` is more than the limit and two errors.
        decided: False where the error is too large to tell, as where little is above chance.
    """

    metric: str
    plain: float
    compressed: float
    chance: float
    side: int
    quality: int
    pictures: int
    share: float
    error: float
    leaks: bool
    decided: bool

    def __str__(self):
        text = (f"{self.metric} {self.plain:.3f} without compression at {self.side} pixels, "
                f"{self.compressed:.3f} as JPEG of quality {self.quality} ({self.pictures} "
                f"pictures), chance {self.chance:.3f}: ")
        if self.share != self.share:
            return text + "too little above chance to tell"
        verdict = "LEAKS" if self.leaks else "closed" if self.decided else "not decided"
        return (f"{text}{max(0.0, self.share):4.0%} \N{PLUS-MINUS SIGN} {self.error:.0%} is "
                f"compression, {verdict}")


def field(rng, count, size, blur, channels=3):
    """Gaussian noise `(count, size, size, channels)` of deviation 1, smoothed over `blur` pixels.

    It is the same in every direction and at every place, and does not wrap around.
    """
    room = size + 8 * int(np.ceil(blur))
    noise = rng.normal(size=(count, room, room, channels)).astype("float32")
    if blur:
        y, x = (np.fft.fftfreq(room)[:, None], np.fft.rfftfreq(room)[None])
        response = np.exp(-2 * (np.pi * blur) ** 2 * (x * x + y * y))[None, :, :, None]
        noise = np.fft.irfft2(np.fft.rfft2(noise, axes=(1, 2)) * response, (room, room), (1, 2))
    noise = noise[:, :size, :size]
    return noise / noise.std()


def _pixels(x):
    return np.clip(np.round(127.5 + 45 * x), 0, 255).astype("uint8")


@probes.register("noise")
def _noise(rng, group, size):
    """Every pixel for itself."""
    return _pixels(field(rng, len(group), size, 0))


@probes.register("texture")
def _texture(rng, group, size):
    """Grey blobs, cut in two by the borders of touching tiles: a ninth of a tile, if 3 by 3."""
    grey = field(rng, len(group), size, size / 45, channels=1)
    return np.repeat(_pixels(grey), 3, -1)


@probes.register("stripes")
def _stripes(rng, group, size):
    """Noise under stripes across and down, 19 to the side, whose phase runs on through all tiles.
    """
    wave = np.arange(size) * (2 * np.pi * 19.2 / size)
    across, down = np.cos(wave + rng.uniform(0, 2 * np.pi, (2, len(group), 1)))
    grey = 0.35 * field(rng, len(group), size, 0, channels=1)
    grey += 0.8 * (across[:, None, :, None] + down[:, :, None, None])
    return np.repeat(_pixels(grey), 3, -1)


@probes.register("chromatic")
def _chromatic(rng, group, size):
    """A lens that magnifies green 1.5 % more than red and blue."""
    grey = np.repeat(field(rng, len(group), size, 1.0, channels=1), 3, -1)
    centre = (size - 1) / 2
    place = centre + (np.arange(size) - centre) / 1.015
    low = np.floor(place).astype(int)
    part = (place - low).astype("float32")
    high = np.minimum(low + 1, size - 1)
    green = grey[..., 1]
    green = green[:, low] * (1 - part)[None, :, None] + green[:, high] * part[None, :, None]
    green = green[:, :, low] * (1 - part) + green[:, :, high] * part
    grey[..., 1] = green
    return _pixels(grey)


def _as_jpeg(pictures, quality):
    """Each written and read again; colours are halved in size, as most programs do."""
    out = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        out.append(np.asarray(Image.open(file)))
    return np.stack(out)


@probes.register("jpeg")
def _jpeg(rng, group, size):
    """Noise through JPEG of quality 30: blocks of 8 pixels from the top left."""
    return _as_jpeg(_pixels(field(rng, len(group), size, 0.7)), 30)


@probes.register("border")
def _border(rng, group, size):
    """Noise in a black border of 3 % of the side."""
    out = _pixels(field(rng, len(group), size, 0))
    width = max(1, round(0.03 * size))
    out[:, :width] = out[:, -width:] = out[:, :, :width] = out[:, :, -width:] = 1
    return out


@probes.register("vignette")
def _vignette(rng, group, size):
    """Noise whose corners are a quarter darker than the centre."""
    place = np.linspace(-1, 1, size) ** 2
    shade = 1 - 0.25 * (place[:, None] + place[None]) / 2
    return (_pixels(field(rng, len(group), size, 0)) * shade[None, :, :, None]).astype("uint8")


@probes.register("cast")
def _cast(rng, group, size):
    """Noise with a cast of colour, up to 25 grey levels a channel: the same in one group."""
    casts = np.stack([np.random.default_rng([7, k]).uniform(-25, 25, 3) for k in group])
    noise = 30 * field(rng, len(group), size, 0) + casts[:, None, None].astype("float32")
    return np.clip(np.round(127.5 + noise), 0, 255).astype("uint8")


class _Tiny(Backbone):
    """Three strided convolutions and one map of features: enough for any shortcut."""

    def __init__(self, sobel=False, name="tiny"):
        inputs = keras.Input((None, None, 3), name="images")
        x, taps = normalized(inputs, IMAGENET_MEAN, IMAGENET_STD, sobel), {}
        for k, (units, kernel) in enumerate(((24, 5), (32, 3), (32, 3)), 1):
            x = layers.Conv2D(units, kernel, 2 if k < 3 else 1, padding="same",
                              activation="relu", name=f"conv{k}")(x)
            taps[f"conv{k}"] = (x, min(2**k, 4))
        super().__init__(inputs, taps, name=name)
        self.mean, self.std, self.sobel = IMAGENET_MEAN, IMAGENET_STD, sobel

    def get_config(self):
        return {"sobel": self.sobel, "name": self.name}


def compression(model, source, side, quality=75, pictures=256, limit=LIMIT):
    """Asks a trained model whether it solves its puzzle by the compression of its pictures.

    The central squares of large pictures are shrunk to the size of those that it was trained on,
    so that little is left of blocks of their own, and asked twice: as they are, and as JPEG files
    of that size. What is in them is the same. A model that knows JPEG only may also lose a little
    because pictures without are another kind: the share is at most what is reported.

    Args:
        model: a PretextModel of a puzzle, for instance of `training.load_run` or
            `zoo.pretext_model`: rotation, relative_patch, jigsaw or damaged_jigsaw.
        source: pictures that it has not seen, at least three times as large.
        side: pixels, of the pictures that it was trained on.
        quality: of JPEG, 1 to 100; 75 is what most programs write.
        pictures: how many, at most, drawn at random.
        limit: the share that counts as a leak.

    Returns:
        a CompressionRow.

    Raises:
        ValueError: for another task, where no picture is large enough, or for arguments out of
            range.
    """
    for name, value in (("side", side), ("pictures", pictures)):
        if value < 1:
            raise ValueError(f"{name} is at least 1. Received: {value}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is 1 to 100. Received: {quality}")
    task = model.task
    metric = _metric(task) if task.name in PUZZLES else None
    if metric is None:  # of others the pictures are the answer, and it changes with them
        raise ValueError(f"compression is measured of a puzzle: {', '.join(PUZZLES)} (with its "
                         f"jigsaw head). Received: {task.name!r} with chance {task.chance}")
    small = _shrunk(source, side, pictures)
    plain, compressed = (evaluate(model, ArraySource(images), batch_size=32)[metric]
                         for images in (small, _as_jpeg(small, quality)))
    chance, count = task.chance[metric], len(small)
    above, noise = compressed - chance, (compressed * (1 - compressed) / count) ** 0.5
    share = error = float("nan")
    if above > 2 * noise:
        share = (compressed - plain) / above
        error = (plain * (1 - plain) / count + ((1 - share) * noise) ** 2) ** 0.5 / above
    leaks = bool(share > limit + 2 * error)
    return CompressionRow(metric, plain, compressed, chance, side, quality, count, share, error,
                          leaks, leaks or bool(share + 2 * error < LARGE))


def _metric(task):
    """The first accuracy among a task's metrics, whose ends are chance and 1; or None."""
    return next((k for k in task.chance if k.endswith("accuracy")), None)


def _shrunk(source, side, count):
    """Central squares of random pictures of three times the side: uint8 `(n, side, side, 3)`."""
    shape, out, small = source.uniform_shape, [], 3 * side
    order = np.random.default_rng(0).permutation(source.num_examples)
    if shape is not None and min(shape[:2]) < small:
        order = order[:0]
    for image in (image for _, images in source.pictures(order) for image in images):
        edge = min(image.shape[:2])
        if edge < small:
            continue
        y, x = ((length - edge) // 2 for length in image.shape[:2])
        square = Image.fromarray(np.asarray(image[y:y + edge, x:x + edge]))
        out.append(np.asarray(square.resize((side, side), Image.Resampling.BICUBIC)))
        if len(out) == count:
            break
    if not out:
        raise ValueError(f"these pictures are shrunk to {side} pixels; none has {small} or more "
                         f"on its short side. Received: {source.name!r}")
    return np.stack(out)


def audit(task, names=None, steps=400, batch_size=16, pictures=1024, seed=0, limit=LIMIT,
          sobel=False, side=None, report=lambda row: None):
    """Trains a tiny network on each kind of picture without content and measures it on others.

    Held-out pictures are cut and recoloured as those that were trained on, by other draws.

    Where the answer is the picture itself, other pictures of the same group stand in for it: they
    share nothing but the group's trace. For `exemplar` a group is a class, for `noise_targets` it
    has one of `GROUPS` points. `exemplar_triplet` and `counting` compare parts of one picture,
    which may be known by its very noise: for them what is reached in "noise" is the chance of
    "cast", and the other probes, whose blobs are content to them, are left out by default.

    Args:
        task: a task whose `chance` has a metric (an accuracy) beside the loss.
        names: probes, by default all: "noise", "texture", "stripes", "chromatic", "jpeg", "border",
            "vignette", "cast".
        steps, batch_size: of the training; more find fainter traces.
        pictures: different pictures to train on; as many are held out.
        limit: the share of the way from chance to 1 that counts as a leak.
        sobel: whether the tiny network sees edges only, like a backbone with `sobel=True`.
        side: of the pictures, in pixels; by default 1.3 times what the task cuts from. Where yours
            are smaller, and so enlarged, give theirs: their traces are enlarged too.
        report: called with every AuditRow as soon as it is known.

    Returns:
        a list of AuditRow.

    Raises:
        ValueError: for an unknown probe, a task without such a metric, one that has its pictures'
            indices for labels, or an exemplar with more than a quarter as many classes as pictures.
    """
    metric = _metric(task)
    if metric is None:
        raise ValueError("an audit needs a metric whose chance is known. "
                         f"Received: task {task.name!r} with chance {task.chance}")
    parts = task.name in ("exemplar_triplet", "counting")
    names = [*names] if names else ["cast"] if parts else probes.names()
    makers = {name: probes.get(name) for name in names}
    if parts and "noise" not in makers:
        makers = {"noise": probes.get("noise"), **makers}
    for option, value, least in (("steps", steps, 1), ("batch_size", batch_size, 1),
                                 ("pictures", pictures, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{option} is at least {least}. Received: {value}")
    if side is not None and side < 1:
        raise ValueError(f"side is at least 1. Received: {side}")
    size, layer = side or round(1.3 * task.framing.size), task.layer()
    groups, targets = _groups(task, layer, pictures)
    rows, chance = [], task.chance[metric]
    for name, make in makers.items():
        rng = np.random.default_rng([seed, *name.encode()])
        order = np.arange(2 * pictures) % groups
        train, test = (ArraySource(_pictures(make, rng, group, size), group, f"audit {name}")
                       for group in (order[:pictures], order[pictures:]))
        keras.utils.set_random_seed(seed)
        model = task.attach(_Tiny(sobel))
        _fit(model, _batches(train, layer, targets, batch_size, seed, steps))
        count = test.num_examples * layer.visits // batch_size
        each = _measure(model, _batches(test, layer, targets, batch_size, seed + 1, count), metric)
        found = float(each.mean())
        if parts and name == "noise":
            chance = max(chance, found)
        solved = (found - chance) / (1 - chance)
        error = float(each.std() / max(1, len(each) - 1) ** 0.5 / (1 - chance))
        rows.append(AuditRow(name, metric, found, chance, solved, error,
                             bool(solved > limit + 2 * error)))
        report(rows[-1])
    return rows


def _pictures(make, rng, group, size):
    """Pictures of a probe, made a few at a time: their noise takes much memory."""
    return np.concatenate([make(rng, group[k:k + 64], size) for k in range(0, len(group), 64)])


def _groups(task, layer, pictures):
    """How many groups there are, and the targets of those that have points, else None."""
    if layer.uses_labels:
        groups = task.num_classes
        if 4 * groups > pictures:
            raise ValueError(f"an audit of {task.name} needs at least four pictures of each class: "
                             f"use num_classes={pictures // 4} or fewer. Received: {groups}")
        return groups, None
    if layer.uses_index:
        if task.name != "noise_targets":
            raise ValueError(f"there is no audit of {task.name}: its labels are made in training. "
                             "Received: a layer that uses the index")
        return GROUPS, sphere_points(0, np.arange(GROUPS), task.dim)
    return 2 * pictures, None


def _batches(source, layer, targets, batch_size, seed, steps):
    import tensorflow as tf

    stream = pipeline.pipeline(source, layer, batch_size, seed, steps=steps)
    if targets is None:
        return stream
    points = tf.constant(targets[source.labels()])
    return stream.map(lambda inputs, index: (inputs, tf.gather(points, index)))


def _fit(model, batches):
    import tensorflow as tf

    model.compile(optimizer=keras.optimizers.Adam(2e-3), **model.task.objective())
    model.build_optimizers()
    step = tf.function(lambda batch: model.train_step(batch))
    for batch in batches:
        step(batch)


def _measure(model, batches, metric):
    """The metric of each batch."""
    run, found = forward(model), []
    for inputs, labels in batches:
        model.reset_metrics()
        found.append(float(model.compute_metrics(inputs, labels, run(inputs))[metric]))
    return np.array(found)
