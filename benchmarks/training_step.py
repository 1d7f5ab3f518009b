"""Training step of RotNet's NIN in bfloat16: against no batch-norm, Keras' batch-norm, and PyTorch.

    python benchmarks/training_step.py [--rounds 5] [--images 32]

Each competitor is a process of its own; they take turns. PyTorch is left out where it is not
installed (`pip install -e ".[benchmark]"`).
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from _timing import ratio, show, take_turns, verdict

OURS, NONE, STOCK, TORCH = ("keras_pretext", "no batch-norm", "keras.layers.BatchNormalization",
                            "PyTorch, bfloat16 autocast")
BLOCKS, CLASSES = 4, 4


def keras_step(variant, images):
    """A function that makes one training step of the NIN with a kind of batch-norm."""
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_pretext import backbones, tasks
    from keras_pretext.backbones import network_in_network
    from keras_pretext.training.optimizers import CoupledSGD

    def stock(name):
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)

    def nothing(name):
        return keras.layers.Identity(name=name)

    kinds = {OURS: network_in_network.BatchNormalization, STOCK: stock, NONE: nothing}
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    with mock.patch.object(network_in_network, "BatchNormalization", kinds[variant]):
        backbone = backbones.get("network_in_network", blocks=BLOCKS)
    task = tasks.get("rotation", image_size=32)
    model = task.attach(backbone)
    model.compile(optimizer=CoupledSGD(0.01, 0.9, nesterov=True, coupled_decay=5e-4),
                  **task.objective())
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.integers(0, 256, (images, 4, 32, 32, 3)).astype(np.uint8))
    labels = tf.constant(np.tile(np.arange(4, dtype=np.int32), (images, 1)))
    run = tf.function(model.train_step)
    return lambda: float(run((inputs, labels))["loss"])


def torch_step(_, images):
    """The same network, loss and optimizer in PyTorch, channels last."""
    import torch
    from torch import nn

    def block(channels, units, pool):
        layers = []
        for kernel, out in units:
            layers += [nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
                       nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            channels = out
        return [*layers, *pool]

    torch.manual_seed(0)
    model = nn.Sequential(
        *block(3, ((5, 192), (1, 160), (1, 96)), [nn.MaxPool2d(3, 2, 1)]),
        *block(96, ((5, 192), (1, 192), (1, 192)), [nn.AvgPool2d(3, 2, 1)]),
        *[layer for _ in range(BLOCKS - 2)
          for layer in block(192, ((3, 192), (1, 192), (1, 192)), [])],
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, CLASSES))
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=5e-4)
    pictures = torch.randint(0, 256, (images * 4, 3, 32, 32), dtype=torch.uint8)
    pictures = pictures.to(memory_format=torch.channels_last)
    labels = torch.arange(4).repeat(images)
    mean = torch.tensor([125.3, 123.0, 113.9]).view(1, 3, 1, 1)
    std = torch.tensor([63.0, 62.1, 66.7]).view(1, 3, 1, 1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model((pictures.float() - mean) / std).float(),
                                               labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def worker(variant, images):
    """Makes a step for every line on stdin and answers with a line each."""
    step = (torch_step if variant == TORCH else keras_step)(variant, images)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--images", type=int, default=32, help="images a step, four rotations each")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker, arguments.images)

    variants = [OURS, NONE, STOCK] + [TORCH] * bool(importlib.util.find_spec("torch"))
    processes = {v: subprocess.Popen(
        [sys.executable, __file__, "--worker", v, "--images", str(arguments.images)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for v in variants}

    def turn(process):
        def work():
            process.stdin.write("\n")
            process.stdin.flush()
            if not process.stdout.readline():
                raise RuntimeError(f"a competitor ended: {process.args}")
            return arguments.images

        return work

    try:
        rates = take_turns({v: turn(p) for v, p in processes.items()}, arguments.rounds,
                           arguments.seconds)
    finally:
        for process in processes.values():
            process.kill()
    print(f"training step of the {BLOCKS}-block NIN, {arguments.images} images in four rotations, "
          f"32 pixels, {os.cpu_count()} cores")
    show(rates, "images/s")
    verdict("ours / no batch-norm", ratio(rates[OURS], rates[NONE]), 0.9)
    verdict("ours / Keras' batch-norm", ratio(rates[OURS], rates[STOCK]), 3.0)
    if TORCH in rates:
        verdict("ours / PyTorch", ratio(rates[OURS], rates[TORCH]), 1.5)
    else:
        print('  PyTorch is not installed: pip install -e ".[benchmark]"')


if __name__ == "__main__":
    main()
