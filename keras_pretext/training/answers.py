"""Puzzles of a task together with what a network answers to them."""

import keras
import numpy as np

from keras_pretext.data.decode import decode
from keras_pretext.data.draws import draws
from keras_pretext.data.masks import seen_by
from keras_pretext.tasks.base import Task


def picture(source, k):
    """An example as a uint8 (height, width, 3) array."""
    if keras.backend.backend() != "tensorflow":
        return source.arrays()[0][k]
    image = source.fetch(int(k))["image"].numpy()
    return decode(image) if source.encoded else image


def class_name(source, label):
    """A label as its class' name, where it has one."""
    names = source.class_names or ()
    return names[int(label)] if 0 <= label < len(names) else str(int(label))


def classifies(task, layer, own_examples=True):
    """Whether a task's answers are classes of what the layer shows.

    With `own_examples=False` not where the labels are of examples that the task makes of its
    training pictures.
    """
    loss = task.objective()["loss"]  # a dict where there are several outputs
    made = layer.uses_labels and type(task).examples is not Task.examples
    return (isinstance(loss, keras.losses.SparseCategoricalCrossentropy) and not layer.uses_index
            and (own_examples or not made))


def answered(task, model, source, count, own_examples=True):
    """Rows of puzzles for `puzzle_sheet` of the first pictures, and the marks of the answers.

    Tasks that classify pictures by what they show have their answers in the titles: beside each
    picture where there are as many, in the first picture's title otherwise. Other tasks have only
    their puzzles.

    Args:
        task, model: a task and its PretextModel.
        source: a `Source`.
        count: pictures, at most.
        own_examples: see `classifies`.

    Returns:
        (rows, marks): lists of rows of (title, uint8 array), and of True, False or None; marks
        is None where there are no answers.
    """
    layer = task.layer()
    source = seen_by(source, layer)
    count = min(count, source.num_examples)
    images = [picture(source, k) for k in range(count)]
    numbers = draws(0, 0, np.arange(count), task.num_draws)
    rows = task.preview(images, numbers)
    if not classifies(task, layer, own_examples):
        return rows, None
    marks = []
    for k, (image, number) in enumerate(zip(images, numbers, strict=True)):
        (truth, outputs), = replies(model, layer, image, number).values()
        if layer.uses_labels:
            truth = np.ravel(source.labels()[k])
        named = (lambda n: class_name(source, n)) if layer.uses_labels else None
        rows[k], shown = marked(rows[k], truth, outputs.argmax(-1), named)
        marks.append(shown)
    return rows, marks


def replies(model, layer, image, number):
    """What the heads of a model that classify answer to the puzzles of one picture.

    Args:
        model: a PretextModel.
        layer: its task's.
        image: uint8 `(height, width, channels)`.
        number: the draws, float32 `(num_draws,)`.

    Returns:
        dict from a head's name ("" where there is but one answer) to (truth, outputs): the
        pseudolabels, int `(k,)`, and the logits, float32 `(k, ways)`.
    """
    losses = model.task.objective()["loss"]
    single = not isinstance(losses, dict)
    heads = [head for head, loss in ({"": losses} if single else losses).items()
             if isinstance(loss, keras.losses.SparseCategoricalCrossentropy)]
    if not heads:
        return {}
    inputs, truth = layer(keras.ops.convert_to_tensor(image), keras.ops.convert_to_tensor(number))
    outputs = model(keras.tree.map_structure(lambda t: t[None], inputs), training=False)
    if single:
        truth, outputs = {"": truth}, {"": outputs}
    found = {}
    for head in heads:
        logits = keras.ops.convert_to_numpy(outputs[head]).astype("float32")
        found[head] = (np.ravel(keras.ops.convert_to_numpy(truth[head])),
                       logits.reshape(-1, logits.shape[-1]))
    return found


def marked(row, truth, said, named=None):
    """A preview's row with the answers in its titles, and the marks of its pictures.

    Args:
        row: a list of (title, uint8 array).
        truth, said: int `(k,)`.
        named: from a label to what it is called, or None.

    Returns:
        (row, marks): marks are True, False or None, one a picture.
    """
    row, right = [*row], truth == said
    title, first = row[0]
    if len(said) == 1:
        label, answer = ((named(n) for n in (truth[0], said[0])) if named
                         else (f"label {truth[0]}", said[0]))
        row[0], shown = (f"{title}: {label}, said {answer}", first), right
    elif len(said) == len(row):
        row = [(f"{title}, said {answer}", shown)
               for (title, shown), answer in zip(row, said, strict=True)]
        shown = right
    else:
        row[0] = (f"{title}, {right.sum()} of {len(right)} right", first)
        shown = [right.all()]
    return row, [*map(bool, shown), *[None] * (len(row) - len(shown))]
