"""Where the time of a training goes: each part timed alone, then all together."""

import os
import tempfile
import time

from keras_pretext.data import pipeline as pipelines
from keras_pretext.training import tables
from keras_pretext.training.trainer import Trainer, on_tensorflow


def profile(recipe, seconds=10, report=lambda name, rate: None):
    """Images a second of the parts of a recipe's training.

    Args:
        recipe: a `Recipe`.
        seconds: how long each part is run, after a first pass that is not counted.
        report: called as `report(name, rate)` after each part.

    Returns:
        dict from "decode" (absent where decoded pictures are held in memory), "pipeline",
        "model" and "whole" to images/s.

    Raises:
        ValueError: on a backend other than TensorFlow.
    """
    if not on_tensorflow():
        import keras

        raise ValueError("profile runs on the TensorFlow backend. "
                         f"Received: {keras.backend.backend()!r}")
    import tensorflow as tf

    rates = {}

    def time_it(name, advance, images=recipe.batch_size):
        advance()
        start, count = time.perf_counter(), 0
        while count == 0 or time.perf_counter() - start < seconds:
            advance()
            count += 1
        rates[name] = count * images / (time.perf_counter() - start)
        report(name, rates[name])

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe.replace(test_split=None), folder, progress=False)
        source = trainer.source
        if source.encoded and not pipelines.held_in_memory(source):
            pictures = iter(_decoded(source))
            time_it("decode", lambda: [next(pictures) for _ in range(100)], 100)
        batches = iter(pipelines.pipeline(source, trainer.layer, recipe.batch_size, recipe.seed))
        time_it("pipeline", lambda: next(batches))
        batch = next(batches)
        if trainer.task.before_step:
            batch = (batch[0], tables.labels(trainer, *batch))
        step = tf.function(trainer.model.train_step)
        time_it("model", lambda: float(step(batch)["loss"]))
        steps = trainer._tensorflow_steps()
        time_it("whole", lambda: next(steps))
    return rates


def _decoded(source):
    """An endless dataset of whole decoded pictures, on all cores."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    indices = tf.data.Dataset.range(source.num_examples).repeat()
    return indices.map(
        lambda k: tf.io.decode_image(source.fetch(k)["image"], channels=3,
                                     expand_animations=False),
        num_parallel_calls=os.cpu_count()).prefetch(100).with_options(options)
