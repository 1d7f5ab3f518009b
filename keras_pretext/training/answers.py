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
        inputs, truth = layer(keras.ops.convert_to_tensor(image),
                              keras.ops.convert_to_tensor(number))
        if layer.uses_labels:
            truth = source.labels()[k]
        outputs = model(keras.tree.map_structure(lambda t: t[None], inputs), training=False)
        answers = np.argmax(keras.ops.convert_to_numpy(outputs), -1).ravel()
        right = answers == np.ravel(keras.ops.convert_to_numpy(truth))
        title, first = rows[k][0]
        if len(answers) == 1:
            label, said = ((class_name(source, n) for n in (truth, answers[0]))
                           if layer.uses_labels else (f"label {int(truth)}", answers[0]))
            rows[k][0], shown = (f"{title}: {label}, said {said}", first), right
        elif len(answers) == len(rows[k]):
            rows[k] = [(f"{title}, said {answer}", shown)
                       for (title, shown), answer in zip(rows[k], answers, strict=True)]
            shown = right
        else:
            rows[k][0] = (f"{title}, {right.sum()} of {len(right)} right", first)
            shown = [right.all()]
        marks.append([*map(bool, shown), *[None] * (len(rows[k]) - len(shown))])
    return rows, marks
