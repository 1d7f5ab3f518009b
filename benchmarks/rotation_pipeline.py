"""Rotation pipeline: against decode-and-crop alone and against copying its output alone.

    python benchmarks/rotation_pipeline.py [--rounds 7] [--seconds 1]
"""

import argparse
import io
import os
import pathlib
import tempfile
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from _timing import ratio, show, take_turns, verdict
from PIL import Image

from keras_pretext import data, tasks
from keras_pretext.data import pipeline as pipelines
from keras_pretext.data import scenes
from keras_pretext.data.arrays import ArraySource

WIDTH, HEIGHT, SIZE, BATCH = 341, 256, 224, 32


def write_jpegs(folder, count=128):
    images, _ = scenes.load("train", size=HEIGHT, count=count)
    rng = np.random.default_rng(0)
    for k, image in enumerate(images):  # sensor noise: flat pictures would decode too fast
        wide = np.asarray(Image.fromarray(image).resize((WIDTH, HEIGHT)), np.float32)
        noisy = np.clip(wide + rng.normal(0, 6, wide.shape), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(noisy).save(out, "JPEG", quality=90)
        (pathlib.Path(folder) / f"{k:04d}.jpg").write_bytes(out.getvalue())


def endless(stream):
    options = tf.data.Options()
    options.autotune.enabled = False
    return iter(stream.prefetch(2).with_options(options))


def batches_of(iterator, images):
    def work():
        next(iterator)
        return images

    return work


def large(folder, arguments):
    source = data.open(f"folder:{folder}")
    task = tasks.get("rotation", image_size=SIZE, framing={
        "kind": "resize_crop", "size": SIZE, "resize": HEIGHT})
    kept = iter(pipelines.pipeline(source, task.layer(), BATCH, 0))
    with mock.patch.object(pipelines, "MEMORY", 0):  # as of a set that does not fit
        ours = iter(pipelines.pipeline(source, task.layer(), BATCH, 0))

    workers, files = os.cpu_count(), tf.constant(source.paths)
    window = tf.constant([(HEIGHT - SIZE) // 2, (WIDTH - SIZE) // 2, SIZE, SIZE])
    decode = tf.data.Dataset.range(len(source.paths)).repeat().map(
        lambda k: tf.io.decode_and_crop_jpeg(tf.io.read_file(files[k]), window, channels=3),
        num_parallel_calls=workers)
    cropped = endless(decode.batch(BATCH))

    batch = tf.random.uniform((BATCH, SIZE, SIZE, 3), 0, 256, tf.int32)
    batch = tf.cast(batch, tf.uint8)
    copy = endless(tf.data.Dataset.range(1).repeat().map(
        lambda _: tf.tile(batch[:, None], [1, 4, 1, 1, 1]), num_parallel_calls=workers))

    rates = take_turns({"rotation pipeline": batches_of(ours, BATCH),
                        "the same, pictures kept in memory": batches_of(kept, BATCH),
                        "decode and crop alone": batches_of(cropped, BATCH),
                        "copying the four outputs alone": batches_of(copy, BATCH)},
                       arguments.rounds, arguments.seconds)
    print(f"{WIDTH}x{HEIGHT} JPEG to four rotations of {SIZE} pixels, {workers} cores")
    show(rates, "images/s")
    slower = [min(pair) for pair in zip(rates["decode and crop alone"],
                                        rates["copying the four outputs alone"], strict=True)]
    verdict("pipeline / the slower of the two", ratio(rates["rotation pipeline"], slower), 0.8)


def small(arguments):
    images = np.random.default_rng(0).integers(0, 256, (10000, 32, 32, 3)).astype(np.uint8)
    layer = tasks.get("rotation", image_size=32).layer()
    stream = iter(pipelines.pipeline(ArraySource(images), layer, 256, 0))
    rates = take_turns({"rotation pipeline": batches_of(stream, 256)}, arguments.rounds,
                       arguments.seconds)
    print(f"32 pixels from memory to four rotations, {os.cpu_count()} cores")
    show(rates, "images/s")
    verdict("thousand images/s", ratio(rates["rotation pipeline"], [1000] * arguments.rounds), 50)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(folder)
        large(folder, arguments)
    small(arguments)


if __name__ == "__main__":
    main()
