"""What can be looked at: from pictures and models to figures, without a browser."""

import dataclasses
import inspect

import keras
import numpy as np

from keras_pretext import tasks, visualize
from keras_pretext.data.draws import draws
from keras_pretext.tasks.autoencoder import Autoencoder
from keras_pretext.tasks.colorization import Colorization
from keras_pretext.tasks.inpainting import Inpainting
from keras_pretext.tasks.motion_segmentation import MotionSegmentation
from keras_pretext.training.answers import marked, replies
from keras_pretext.visualize.attention import spread_taps

# of `relative_patch`: where the second patch lies, seen from the first
DIRECTIONS = ("up left", "up", "up right", "left", "right", "down left", "down", "down right")
LINES = 12  # of a table of answers, at most


@dataclasses.dataclass
class Figure:
    """Something to look at.

    Attributes:
        heading, text: what it is.
        rows: a list of rows of (title, uint8 `(height, width, 3)`).
        marks: the same shape: True (right), False (wrong) or None; or None.
        table: a list of rows of text, the first the names of the columns.
    """

    heading: str
    text: str = ""
    rows: list = dataclasses.field(default_factory=list)
    marks: list | None = None
    table: list | None = None


def task_names():
    """The tasks whose puzzles can be shown without more options."""
    return [name for name in tasks.list()
            if not any(option.default is option.empty and option.kind != option.VAR_KEYWORD
                       for option in
                       inspect.signature(tasks.registry.get(name)).parameters.values())]


def puzzle(task, pictures, k, seed=0):
    """What a task makes of a picture.

    Args:
        task: a Task.
        pictures: `Pictures`.
        k: which one.
        seed: of the draws.

    Returns:
        a list of one Figure.

    Raises:
        ValueError: for pictures without what the task needs.
    """
    rows = task.preview([pictures.seen_by(task.layer(), k)], _numbers(task, k, seed)[None])
    return [Figure(task.name.replace("_", " "), f"Draws of seed {seed}.", rows)]


def _numbers(task, k, seed):
    return draws(seed, 0, np.array([k]), task.num_draws)[0]


def answers(models, pictures, k, seed=0):
    """What each model answers to its own task's puzzle of a picture, beside the truth.

    Args:
        models: dict from a name to a PretextModel.
        pictures, k, seed: as for `puzzle`.

    Returns:
        a list of Figures, one a model. Tasks that classify have a table of truth and answer,
        tasks that paint a picture of the answer, others a word on why there is none.
    """
    return [_answer(name, model, pictures, k, seed) for name, model in models.items()]


def _answer(name, model, pictures, k, seed):
    task = model.task
    heading = f"{name}: {task.name.replace('_', ' ')}"
    try:
        layer = task.layer()
        image, number = pictures.seen_by(layer, k), _numbers(task, k, seed)
        row = task.preview([image], number[None])[0]
        if layer.uses_labels or layer.uses_index:
            return Figure(heading, "Its labels are of the pictures that it was trained on: for "
                          "this picture there is no truth.", [row])
        heads = replies(model, layer, image, number)
        said = _painted(model, layer, image, number)
    except ValueError as error:  # such as a picture that a task refuses
        return Figure(heading, f"No puzzle: {error}")
    if heads:
        text, table, marks = "", [["head", "puzzle", "truth", "said", "chance that it gave"]], None
        for head, (truth, outputs) in heads.items():
            text += _score(head, truth, outputs)
            table += _table(task, head, truth, outputs)
        if [*heads] == [""]:
            row, marks = marked(row, truth, outputs.argmax(-1))
            table = [line[1:] for line in table]
        return Figure(heading, text.strip(), [row], marks and [marks], table)
    if said is not None:
        return Figure(heading, "What is asked, and what it said.", [[*row, ("said", said)]])
    return Figure(heading, "Its answer is neither a class nor a picture.", [row])


def _score(head, truth, outputs):
    right = int((outputs.argmax(-1) == truth).sum())
    return f"{head + ': ' if head else ''}{right} of {len(truth)} right. "


def _table(task, head, truth, outputs):
    shares = np.exp(outputs - outputs.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    named = label_names(task, outputs.shape[-1])
    said = outputs.argmax(-1)
    rows = [[head, str(n + 1), named[truth[n]], named[said[n]],
             f"{shares[n, said[n]]:.0%}"
             + ("" if said[n] == truth[n] else f" (truth {shares[n, truth[n]]:.0%})")]
            for n in range(min(len(truth), LINES))]
    if len(truth) > LINES:
        rows.append([head, f"and {len(truth) - LINES} more", "", "", ""])
    return rows


def label_names(task, ways):
    """What a task's pseudolabels are called: angles, permutations, directions, or numbers."""
    if hasattr(task, "angles"):
        return [f"{angle}\N{DEGREE SIGN}" for angle in task.angles]
    if len(getattr(task, "table", ())) == ways:
        return [f"{label}: {' '.join(map(str, order))}"
                for label, order in enumerate(task.table.tolist())]
    if task.name == "relative_patch" and ways == len(DIRECTIONS):
        return [*DIRECTIONS]
    return [*map(str, range(ways))]


def _painted(model, layer, image, number):
    """The answer of a task that paints, uint8 `(h, w, 3)`, or None."""
    task = model.task
    if isinstance(task, Colorization):
        return visualize.colorize(model, keras.ops.convert_to_numpy(layer.framing(
            keras.ops.convert_to_tensor(image),
            keras.ops.convert_to_tensor(number[:layer.framing.num_draws]))))
    if not isinstance(task, Inpainting | Autoencoder | MotionSegmentation):
        return None
    inputs, _ = layer(keras.ops.convert_to_tensor(image), keras.ops.convert_to_tensor(number))
    out = keras.ops.convert_to_numpy(model(inputs[None], training=False))[0].astype("float32")
    if isinstance(task, MotionSegmentation):
        return np.repeat(_bytes(255 / (1 + np.exp(-out)))[..., None], 3, -1)
    return _bytes((out + 1) * 127.5)


def _bytes(values):
    return np.clip(np.round(values), 0, 255).astype("uint8")


def attention(model, pictures, k, turns=False):
    """Where in a picture a model's layers are active, also of the turned picture.

    Returns:
        a list of one Figure.
    """
    image = pictures.framed(model.task.image_size)[k:k + 1]
    return [Figure("Attention maps", "Where a layer is active: the sum over channels of the "
                   "activations to the power p.", visualize.attention(model, image, turns=turns))]


def filters(model):
    """The filters of a model's first convolution: a list of one Figure."""
    return [Figure("Filters", "Of the first convolution, each stretched by itself.",
                   [[("", visualize.first_layer_filters(model.backbone))]])]


def neighbours(model, pictures, queries, count=8):
    """The pictures nearest to some by a model's features.

    Returns:
        a list of Figures, one a query.

    Raises:
        ValueError: for fewer than two pictures, or features that are all zero.
    """
    if len(pictures) < 2:
        raise ValueError("neighbours are found among two pictures or more. "
                         f"Received: {len(pictures)} of {pictures.name}")
    images = pictures.framed(model.task.image_size)
    tap = spread_taps(model.backbone, images.shape[1])[-1]
    rows = visualize.neighbours(model, images, queries, tap, min(count, len(pictures) - 1))
    return [Figure("Nearest neighbours", f"Of {len(pictures)} pictures, by the cosine of {tap}, "
                   "averaged; the query first.", [row]) for row in rows]


def colors(models, pictures, k):
    """A picture as every colorization model among them would colour it: a list of Figures."""
    image, found = pictures.rgb(k), _of(models, Colorization)
    return [Figure(name, "Only the lightness is looked at.",
                   [[("picture", image), ("coloured", visualize.colorize(model, image))]])
            for name, model in found.items()]


def holes(models, pictures, k, left=0.25, top=0.25, side=0.5):
    """A picture with a part painted anew by every inpainting model among them.

    Args:
        left, top: of the square hole, as shares of the picture's width and height.
        side: of the hole, as a share of the shorter side.

    Returns:
        a list of Figures, one a model.
    """
    image, found = pictures.rgb(k), _of(models, Inpainting)
    height, width = image.shape[:2]
    length = max(1, min(round(side * min(height, width)), min(height, width) - 1))
    x, y = (min(round(share * extent), extent - length)
            for share, extent in ((left, width), (top, height)))
    cut = image.copy()
    cut[y:y + length, x:x + length] = 128
    return [Figure(name, f"Painted: {length} x {length} pixels of {width} x {height}.",
                   [[("picture", image), ("what is seen", cut),
                     ("painted", visualize.inpaint(model, image, (x, y, length, length)))]])
            for name, model in found.items()]


def _of(models, kind):
    found = {name: model for name, model in models.items() if isinstance(model.task, kind)}
    if not found:
        known = ", ".join(f"{name} ({model.task.name})" for name, model in models.items())
        raise ValueError(f"none of the models is of the task {kind.name!r}: pass one with "
                         f"--models. Received: {known or 'none'}")
    return found
