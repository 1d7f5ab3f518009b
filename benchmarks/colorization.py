"""Colorization: soft encoding against a search with scikit-learn, the loss against a dense one.

    python benchmarks/colorization.py [--rounds 7] [--seconds 1]

Encoding: 32 pictures, every fourth pixel of 224, five neighbours of 313 colours; both begin with a
and b and end with the neighbours and their weights. The loss: value and gradient for the logits of
the same batch, each in a process of its own; what counts is its peak of memory.
"""

import argparse
import ctypes
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from _timing import ratio, show, take_turns, verdict

BATCH, SIDE, NEIGHBOURS, SIGMA = 32, 56, 5, 5.0


def pictures():
    from keras_pretext.data import scenes

    images, _ = scenes.load("train", size=224, count=BATCH)
    noise = np.random.default_rng(0).normal(0, 12, images.shape)
    return np.clip(images + noise, 0, 255).astype("uint8")


def encoding(arguments):
    import tensorflow as tf
    from sklearn.neighbors import NearestNeighbors

    from keras_pretext.image import color_codes
    from keras_pretext.image.color import AB_BINS

    ab = color_codes.sparse_ab(pictures(), 4)
    search = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(AB_BINS)
    flat = ab.numpy().reshape(-1, 2)

    def searched():
        distance, indices = search.kneighbors(flat)
        weights = np.exp(-distance**2 / (2 * SIGMA**2))
        weights /= weights.sum(1, keepdims=True)
        return indices, weights

    look_up = tf.function(lambda ab: color_codes.soft_encoding(color_codes.to_codes(ab)))
    indices, weights = (x.numpy().reshape(-1, NEIGHBOURS) for x in look_up(ab))
    near, exact = searched()
    assert (indices[:, 0] == near[:, 0]).mean() > 0.99 and abs(weights - exact).mean() < 0.05

    def ours():
        look_up(ab)[1].numpy()
        return BATCH

    def theirs():
        searched()
        return BATCH

    rates = take_turns({"by the table": ours, "by scikit-learn's search": theirs},
                       arguments.rounds, arguments.seconds)
    print(f"soft encoding of {SIDE}x{SIDE} places, {os.cpu_count()} cores")
    show(rates, "images/s")
    verdict("table / search", ratio(rates["by the table"], rates["by scikit-learn's search"]), 50)


def loss(kind):
    """Peak memory in MiB above what stands before, of the loss of a batch and its gradient."""
    import tensorflow as tf

    from keras_pretext.image import color_codes
    from keras_pretext.losses.colorization import ColorCrossentropy

    codes = color_codes.to_codes(color_codes.sparse_ab(pictures(), 4))
    logits = tf.zeros((BATCH, SIDE, SIDE, 313))
    weights = tf.ones(313)
    sparse = ColorCrossentropy(weights.numpy())

    def cost(codes, logits):
        if kind == "sparse":
            return sparse(codes, logits)
        indices, shares = color_codes.soft_encoding(codes)
        place = tf.reshape(indices, (-1, NEIGHBOURS))
        row = tf.broadcast_to(tf.range(tf.shape(place)[0])[:, None], tf.shape(place))
        targets = tf.reshape(tf.scatter_nd(tf.stack([row, place], -1),
                                           tf.reshape(shares, (-1, NEIGHBOURS)),
                                           (tf.shape(place)[0], 313)), tf.shape(logits))
        weight = tf.gather(weights, tf.argmax(targets, -1))
        if kind == "fused":
            values = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        else:
            values = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), -1)
        return tf.reduce_mean(values * weight)

    @tf.function(input_signature=[tf.TensorSpec((None, *x.shape[1:]), x.dtype)
                                  for x in (codes, logits)])
    def step(codes, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = cost(codes, logits)
        return value, tape.gradient(value, logits)

    step(codes[:1], logits[:1])  # the table, the graph, and TensorFlow's own
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    start = memory("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    step(codes, logits)
    print(memory("VmHWM") - start)


def memory(what):
    """A line of /proc/self/status in MiB."""
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--loss", choices=["sparse", "fused", "dense"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loss:
        return loss(arguments.loss)
    encoding(arguments)
    peak = {kind: float(subprocess.run([sys.executable, __file__, "--loss", kind], check=True,
                                       capture_output=True, text=True).stdout)
            for kind in ("sparse", "fused", "dense")}
    print(f"value and gradient of the loss, {BATCH} x {SIDE} x {SIDE} x 313 logits")
    names = {"sparse": "the few entries", "fused": "dense targets, TensorFlow's fused loss",
             "dense": "dense targets, written out"}
    for kind, size in peak.items():
        print(f"  {names[kind]:44} {size:10.0f} MiB at the peak, above the logits")
    verdict("dense / sparse", peak["dense"] / peak["sparse"], 4)


if __name__ == "__main__":
    main()
