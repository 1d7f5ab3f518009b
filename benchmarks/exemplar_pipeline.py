"""Exemplar patches made on the fly, against the training step of the paper's largest network.

    python benchmarks/exemplar_pipeline.py [--rounds 5] [--seconds 1] [--precision mixed_bfloat16]

Regions of 16,000 seeds lie in memory, as in training. The pipeline and the step take turns on all
cores: where the first makes more patches a second than the second takes, training waits for the
network and not for its data.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from _timing import ratio, show, take_turns, verdict

from keras_pretext import backbones, tasks
from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.pipeline import pipeline
from keras_pretext.training.optimizers import CoupledSGD

BATCH, SEEDS = 128, 16000
NETWORKS = ("64c5-64c5-128f", "64c5-128c5-256c5-512f", "92c5-256c5-512c5-1024f")


def training_step(task, network, batches):
    model = task.attach(backbones.get("exemplar_cnn", network=network))
    model.compile(optimizer=CoupledSGD(0.01, 0.9, coupled_decay=0.004), **task.objective())
    model.optimizer.build(model.trainable_variables)
    batch, run = next(batches), tf.function(model.train_step)

    def work():
        float(run(batch)["loss"])
        return BATCH

    return work


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--precision", default="mixed_bfloat16")
    arguments = parser.parse_args()
    keras.config.set_dtype_policy(arguments.precision)
    rng = np.random.default_rng(0)
    competitors = {}
    for ranges in ("paper", "code"):
        task = tasks.get("exemplar", num_classes=SEEDS, ranges=ranges)
        regions = rng.integers(1, 256, (SEEDS, task.image_size, task.image_size, 3), "uint8")
        batches = iter(pipeline(ArraySource(regions, np.arange(SEEDS)), task.layer(), BATCH, 0))

        def patches(batches=batches):
            next(batches)
            return BATCH

        competitors[f"patches, {ranges} ranges"] = patches
    for network in NETWORKS:
        competitors[network] = training_step(task, network, batches)
    rates = take_turns(competitors, arguments.rounds, arguments.seconds)
    print(f"patches of {task.patch} pixels of {SEEDS} seeds, steps of {BATCH} in "
          f"{arguments.precision}, {os.cpu_count()} cores")
    show(rates, "patches/s")
    for network in NETWORKS:
        wanted = 1 if network == NETWORKS[-1] else 0
        verdict(f"pipeline / step of {network}",
                ratio(rates["patches, paper ranges"], rates[network]), wanted)


if __name__ == "__main__":
    main()
