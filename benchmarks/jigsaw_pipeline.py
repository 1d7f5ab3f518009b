"""Jigsaw pipeline from JPEG files at the paper's size: against Pillow and NumPy on the same cores.

    python benchmarks/jigsaw_pipeline.py [--rounds 7] [--seconds 1]

Both crop a 225 square of a picture with short side 256, make 30 % of them grey and give nine tiles
of 64 in cells of 75, each channel shifted by 0 to 2 pixels. Pillow's processes, one a core, make
one picture after the other; what they make stays with them.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from _timing import ratio, show, take_turns, verdict
from PIL import Image

SHORT, CELL, TILE, GRID, GREY, SHIFT = 256, 75, 64, 3, 0.3, 2
SIZES = {"341x256": (341, 256), "500x375": (500, 375)}
BATCH, PICTURES = 32, 128


def pillow_tiles(path, rng):
    """The nine tiles of a file, uint8 `(9, 64, 64, 3)`."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
    width, height = picture.size
    if min(width, height) != SHORT:
        scale = SHORT / min(width, height)
        picture = picture.resize((round(width * scale), round(height * scale)),
                                 Image.Resampling.BILINEAR)
    size = GRID * CELL
    left, top = (int(rng.integers(extent - size + 1)) for extent in picture.size)
    picture = picture.crop((left, top, left + size, top + size))
    if rng.random() < GREY:
        picture = picture.convert("L").convert("RGB")
    image, tiles = np.asarray(picture), np.empty((GRID * GRID, TILE, TILE, 3), np.uint8)
    room = CELL - TILE
    for k in range(GRID * GRID):
        place = rng.integers(room + 1, size=2)[:, None] + rng.integers(SHIFT + 1, size=(2, 3))
        down, right = np.minimum(place, room)
        for channel in range(3):
            y = k // GRID * CELL + down[channel]
            x = k % GRID * CELL + right[channel]
            tiles[k, :, :, channel] = image[y:y + TILE, x:x + TILE, channel]
    return tiles


def worker(folder):
    """Makes the puzzles of as many pictures as each line on stdin says, and answers."""
    paths, rng, done = sorted(pathlib.Path(folder).iterdir()), np.random.default_rng(), 0
    for line in sys.stdin:
        for _ in range(int(line)):
            pillow_tiles(paths[done % len(paths)], rng)
            done += 1
        print(done, flush=True)


def write_jpegs(folder, width, height):
    from keras_pretext.data import scenes

    images, _ = scenes.load("train", size=256, count=PICTURES)
    rng = np.random.default_rng(0)
    for k, image in enumerate(images):  # sensor noise: flat pictures would decode too fast
        wide = np.asarray(Image.fromarray(image).resize((width, height)), np.float32)
        noisy = np.clip(wide + rng.normal(0, 6, wide.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(pathlib.Path(folder) / f"{k:04d}.jpg", quality=90)


def compare(name, folder, arguments):
    import tensorflow as tf

    from keras_pretext import data, tasks
    from keras_pretext.data import pipeline as pipelines

    source = data.open(f"folder:{folder}")
    layer = tasks.get("jigsaw", permutations=100).layer()
    kept = iter(pipelines.pipeline(source, layer, BATCH, 0))
    with mock.patch.object(pipelines, "MEMORY", 0):  # as of a set that does not fit
        ours = iter(pipelines.pipeline(source, layer, BATCH, 0))
    window = tf.constant([10, 10, *(2 * [GRID * CELL])])
    options = tf.data.Options()
    options.autotune.enabled = False
    decoded = iter(tf.data.Dataset.range(len(source.paths)).repeat().map(
        lambda k: tf.io.decode_and_crop_jpeg(tf.io.read_file(tf.gather(source.paths, k)), window,
                                             channels=3),
        num_parallel_calls=os.cpu_count()).batch(BATCH).prefetch(2).with_options(options))
    processes = [subprocess.Popen([sys.executable, __file__, "--worker", folder], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                 for _ in range(os.cpu_count())]

    def pillow():
        for process in processes:
            process.stdin.write(f"{BATCH}\n")
            process.stdin.flush()
        for process in processes:
            process.stdout.readline()
        return BATCH * len(processes)

    def batches(stream):
        def work():
            next(stream)
            return BATCH

        return work

    try:
        rates = take_turns({"jigsaw pipeline": batches(ours), "Pillow and NumPy": pillow,
                            "decode and crop alone": batches(decoded),
                            "jigsaw pipeline, decoded pictures kept": batches(kept)},
                           arguments.rounds, arguments.seconds)
    finally:
        for process in processes:
            process.kill()
    print(f"{name} JPEG to nine tiles of {TILE} pixels, {os.cpu_count()} cores")
    show(rates, "images/s")
    bound = ratio(rates["decode and crop alone"], rates["Pillow and NumPy"])
    print(f"  {'decode and crop alone / Pillow':44} {bound:10.2f}")
    verdict("pipeline / Pillow", ratio(rates["jigsaw pipeline"], rates["Pillow and NumPy"]), 5)
    verdict("pictures kept / Pillow", ratio(rates["jigsaw pipeline, decoded pictures kept"],
                                            rates["Pillow and NumPy"]), 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=[*SIZES])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker)
    for name in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_jpegs(folder, *SIZES[name])
            compare(name, folder, arguments)


if __name__ == "__main__":
    main()
