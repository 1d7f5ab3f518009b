"""The dtype policy that models are built under."""

import contextlib
import functools
import time

import keras

SLOW = 4  # times as long as in float32: 16 and 29 where it was seen, 1 and less with instructions


@contextlib.contextmanager
def precision(policy):
    """A global dtype policy for what is built inside, then the former one again."""
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


def quicker(policy="mixed_bfloat16"):
    """`policy`, or "float32" where that is "mixed_bfloat16" and training in it would crawl."""
    return "float32" if policy == "mixed_bfloat16" and emulates_bfloat16() else policy


def advice(policy):
    """One sentence on what is quicker where training under `policy` would crawl, else None."""
    if quicker(policy) == policy:
        return None
    return ("TensorFlow trains convolutions in bfloat16 many times as slowly as in float32 on this "
            "machine: a new run (--out) with --set precision=float32 is quicker.")


@functools.cache
def emulates_bfloat16():
    """Whether the gradient of a convolution is far slower in bfloat16 than in float32 here.

    TensorFlow's is where it finds no instructions for bfloat16 (AVX-512 BF16 or AMX): 16 times on
    an AMD processor with AVX2, while the forward pass was about as quick as in float32. Measured
    once in a process, in at most a second, on the device that TensorFlow takes by itself. False
    on the other backends, and where it cannot be measured.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    times = {"float32": [], "bfloat16": []}
    try:
        for _ in range(5):  # in turns, so that other work of the machine meets both
            for dtype, seconds in times.items():
                maps, kernel = tf.ones((2, 32, 32, 64), dtype), tf.ones((3, 3, 64, 64), dtype)
                start = time.perf_counter()
                tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=maps.shape, filter=kernel, out_backprop=maps, strides=[1] * 4,
                    padding="SAME").numpy()
                seconds.append(time.perf_counter() - start)
    except tf.errors.OpError:
        return False
    return min(times["bfloat16"]) > SLOW * min(times["float32"])
