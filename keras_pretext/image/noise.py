"""Noise fields from a single draw, so that a layer needs no number for each pixel."""

import math

from keras import ops


def uniform(draw, shape):
    """Uniform noise in (0, 1), a pure function of one draw for each example.

    The draw's 24 bits and the place of each number go through the 32-bit finaliser of MurmurHash3
    twice.

    Args:
        draw: float32 in [0, 1), of any shape, batch first.
        shape: tuple of ints, of the field of each draw.

    Returns:
        float32 `draw.shape + shape`.
    """
    key = ops.cast(ops.cast(draw * 16777216.0, "int32"), "uint32")
    place = ops.reshape(ops.cast(ops.arange(math.prod(shape), dtype="int32"), "uint32"), shape)
    key = ops.reshape(_mixed(key), (*ops.shape(key), *(1,) * len(shape)))
    bits = _mixed(ops.bitwise_xor(key, _mixed(place + ops.cast(0x9E3779B9, "uint32"))))
    bits = ops.cast(ops.right_shift(bits, ops.cast(9, "uint32")), "int32")
    return (ops.cast(bits, "float32") + 0.5) * (1.0 / 8388608.0)


def normal(draw, shape):
    """Standard normal noise by the Box-Muller transform. Arguments: see `uniform`."""
    pair = uniform(draw, (*shape, 2))
    radius = ops.sqrt(-2.0 * ops.log(pair[..., 0]))
    return radius * ops.cos(2.0 * math.pi * pair[..., 1])


def _mixed(bits):
    def shifted(bits, count):
        return ops.bitwise_xor(bits, ops.right_shift(bits, ops.cast(count, "uint32")))

    bits = shifted(bits, 16) * ops.cast(0x85EBCA6B, "uint32")
    bits = shifted(bits, 13) * ops.cast(0xC2B2AE35, "uint32")
    return shifted(bits, 16)
