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
from keras_pretext.registry import Registry
from keras_pretext.training.pretext_metrics import evaluate

probes = Registry("audit probe")
LIMIT = 0.05


@dataclasses.dataclass
class AuditRow:
    """What a tiny network made of pictures without content.

    Attributes:
        probe: the kind of pictures.
        metric: name of the task's metric.
        found, chance: its value on held-out pictures, and that of knowing nothing.
        solved: the share of the way from chance to 1 that was gone without content.
        leaks: whether that is more than the limit.
    """

    probe: str
    metric: str
    found: float
    chance: float
    solved: float
    leaks: bool

    def __str__(self):
        verdict = "LEAKS" if self.leaks else "closed"
        return (f"{self.probe:10} {self.metric} {self.found:.3f}, chance {self.chance:.3f}: "
                f"{max(0.0, self.solved):4.0%} solved without content, {verdict}")


def field(rng, count, size, blur):
    """Gaussian noise `(count, size, size, 3)` of deviation 1, smoothed over `blur` pixels.

    It is the same in every direction and at every place, and does not wrap around.
    """
    room = size + 8 * int(np.ceil(blur))
    noise = rng.normal(size=(count, room, room, 3)).astype("float32")
    if blur:
        y, x = (np.fft.fftfreq(room)[:, None], np.fft.rfftfreq(room)[None])
        response = np.exp(-2 * (np.pi * blur) ** 2 * (x * x + y * y))[None, :, :, None]
        noise = np.fft.irfft2(np.fft.rfft2(noise, axes=(1, 2)) * response, (room, room), (1, 2))
    noise = noise[:, :size, :size]
    return noise / noise.std()


def _pixels(x):
    return np.clip(np.round(127.5 + 45 * x), 0, 255).astype("uint8")


@probes.register("noise")
def _noise(rng, count, size):
    """Every pixel for itself."""
    return _pixels(field(rng, count, size, 0))


@probes.register("texture")
def _texture(rng, count, size):
    """Blobs as wide as a few pixels, which run on across the borders of tiles."""
    return _pixels(field(rng, count, size, max(1.0, size / 150)))


@probes.register("chromatic")
def _chromatic(rng, count, size):
    """A lens that magnifies green 1.5 % more than red and blue."""
    grey = np.repeat(field(rng, count, size, 1.0)[..., :1], 3, -1)
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


@probes.register("jpeg")
def _jpeg(rng, count, size):
    """Noise through JPEG of quality 30: blocks of 8 pixels from the top left."""
    out = []
    for picture in _pixels(field(rng, count, size, 0.7)):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=30)
        out.append(np.asarray(Image.open(file)))
    return np.stack(out)


@probes.register("border")
def _border(rng, count, size):
    """Noise in a black border of 3 % of the side."""
    out = _pixels(field(rng, count, size, 0))
    width = max(1, round(0.03 * size))
    out[:, :width] = out[:, -width:] = out[:, :, :width] = out[:, :, -width:] = 0
    return out


@probes.register("vignette")
def _vignette(rng, count, size):
    """Noise whose corners are a quarter darker than the centre."""
    place = np.linspace(-1, 1, size) ** 2
    shade = 1 - 0.25 * (place[:, None] + place[None]) / 2
    return (_pixels(field(rng, count, size, 0)) * shade[None, :, :, None]).astype("uint8")


class _Tiny(Backbone):
    """Three strided convolutions and one map of features: enough for any shortcut."""

    def __init__(self, name="tiny"):
        inputs = keras.Input((None, None, 3), name="images")
        x, taps = normalized(inputs, IMAGENET_MEAN, IMAGENET_STD), {}
        for k, (units, kernel) in enumerate(((24, 5), (32, 3), (32, 3)), 1):
            x = layers.Conv2D(units, kernel, 2 if k < 3 else 1, padding="same",
                              activation="relu", name=f"conv{k}")(x)
            taps[f"conv{k}"] = (x, min(2**k, 4))
        super().__init__(inputs, taps, name=name)
        self.mean, self.std = IMAGENET_MEAN, IMAGENET_STD

    def get_config(self):
        return {"name": self.name}


def audit(task, names=None, steps=200, batch_size=16, pictures=512, seed=0, limit=LIMIT,
          report=lambda row: None):
    """Trains a tiny network on each kind of picture without content and measures it on others.

    Args:
        task: a task whose `chance` has a metric (an accuracy) beside the loss.
        names: probes, all by default: "noise", "texture", "chromatic", "jpeg", "border",
            "vignette".
        steps, batch_size: of the training; more find fainter traces.
        pictures: different pictures to train on; half as many are held out.
        limit: the share of the way from chance to 1 that counts as a leak.
        report: called with every AuditRow as soon as it is known.

    Returns:
        a list of AuditRow.

    Raises:
        ValueError: for an unknown probe, or a task without such a metric.
    """
    metric = next((k for k in task.chance if k != "loss"), None)
    if metric is None:
        raise ValueError("an audit needs a metric whose chance is known. "
                         f"Received: task {task.name!r} with chance {task.chance}")
    makers = {name: probes.get(name) for name in names or probes.names()}
    size = round(1.3 * task.framing.size)
    rows = []
    for name, make in makers.items():
        rng = np.random.default_rng([seed, *name.encode()])
        train = ArraySource(make(rng, pictures, size), name=f"audit {name}")
        test = ArraySource(make(rng, max(1, pictures // 2), size), name=f"audit {name}")
        keras.utils.set_random_seed(seed)
        model = task.attach(_Tiny())
        _fit(model, task.layer(), train, steps, batch_size, seed)
        found, chance = evaluate(model, test, batch_size)[metric], task.chance[metric]
        solved = (found - chance) / (1 - chance)
        rows.append(AuditRow(name, metric, found, chance, solved, bool(solved > limit)))
        report(rows[-1])
    return rows


def _fit(model, layer, source, steps, batch_size, seed):
    import tensorflow as tf

    model.compile(optimizer=keras.optimizers.Adam(2e-3), **model.task.objective())
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda batch: model.train_step(batch))
    for batch in pipeline.pipeline(source, layer, batch_size, seed, steps=steps):
        step(batch)
