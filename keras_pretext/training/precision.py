"""The dtype policy that models are built under."""

import contextlib
import functools
import time

import keras

SLOW = 4  # times as long as in float32: what emulates bfloat16 takes 10 and more, noise less than 2


@contextlib.contextmanager
def precision(policy=None):
    """A global dtype policy for what is built inside, then the former one again.

    Args:
        policy: such as "float32"; None for "mixed_bfloat16" where it is quick, else "float32".
    """
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy or quicker())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


def quicker(policy="mixed_bfloat16"):
    """`policy`, or "float32" where that is "mixed_bfloat16" and training in it would crawl."""
    return "float32" if policy == "mixed_bfloat16" and emulates_bfloat16() else policy


@functools.cache
def emulates_bfloat16():
    """Whether the gradient of a convolution is far slower in bfloat16 than in float32 here.

    TensorFlow's is on a processor without instructions for bfloat16 (before AMD's Zen 4 and Intel's
    Cooper Lake, and most desktops): 10 to 30 times, while its forward pass is about as quick.
    Measured once in a process, in at most a second; False on the other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    def seconds(dtype):
        maps, kernel = tf.ones((2, 32, 32, 64), dtype), tf.ones((3, 3, 64, 64), dtype)
        times = []
        for _ in range(4):  # the first one also prepares
            start = time.perf_counter()
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=maps.shape, filter=kernel, out_backprop=maps, strides=[1] * 4,
                padding="SAME").numpy()
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds("bfloat16") > SLOW * seconds("float32")
