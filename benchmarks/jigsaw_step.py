"""Training step of the jigsaw: eight permutations of every picture against one.

    python benchmarks/jigsaw_step.py [--rounds 7] [--seconds 1] [--precision mixed_bfloat16]

The network and sizes of the paper, then those of `recipes/jigsaw_alexnet_tiny_imagenet_cpu.py`.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from _timing import ratio, show, take_turns

from keras_pretext import backbones, tasks
from keras_pretext.training.optimizers import CoupledSGD

MOST = 1.3
SETTINGS = {
    "paper": ({}, {"flavour": "cfn", "fc_units": [], "image_size": 64}, 16),
    "small": ({"tile": 32, "cell": 38, "shift": 1, "permutations": 100, "embedding": 512,
               "hidden": 1024, "dropout": 0.1},
              {"flavour": "deepcontext", "fc_units": [], "image_size": 32}, 32)}


def training_step(options, network, batch, puzzles):
    """A function that makes one training step."""
    task = tasks.get("jigsaw", puzzles=puzzles, **options)
    model = task.attach(backbones.get("alexnet", **network))
    model.compile(optimizer=CoupledSGD(0.01, 0.9, coupled_decay=5e-4), **task.objective())
    model.optimizer.build(model.trainable_variables)
    rng, tiles = np.random.default_rng(0), task.inputs()["tiles"].shape[1:]
    orders = rng.integers(0, len(task.table), (batch, puzzles)).astype("int32")
    inputs = {"tiles": tf.constant(rng.integers(0, 256, (batch, *tiles)).astype("uint8")),
              "permutations": tf.constant(orders)}
    run = tf.function(model.train_step)

    def work():
        float(run((inputs, tf.constant(orders)))["loss"])
        return batch

    return work


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--precision", default="mixed_bfloat16")
    arguments = parser.parse_args()
    keras.config.set_dtype_policy(arguments.precision)
    for name, setting in SETTINGS.items():
        rates = take_turns({f"{puzzles} a picture": training_step(*setting, puzzles)
                            for puzzles in (1, 8)}, arguments.rounds, arguments.seconds)
        print(f"jigsaw, {name} size, {setting[2]} pictures a step, {arguments.precision}, "
              f"{os.cpu_count()} cores")
        show(rates, "images/s")
        cost = ratio(rates["1 a picture"], rates["8 a picture"])
        print(f"  {'cost of eight / cost of one':44} {cost:10.2f}  (wanted: at most {MOST}) "
              f"{'ok' if cost <= MOST else 'MISSED'}")


if __name__ == "__main__":
    main()
