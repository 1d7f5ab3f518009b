"""Colours as small integers, their soft places among AB_BINS, and colours out of logits.

A colour code is the number of the unit square of the ab plane that holds the colour, -1 where no
colour is asked. What is known of a colour (its nearest bins and their weights) is then a row of a
table that is computed once.
"""

import functools

import numpy as np
from keras import ops

from keras_pretext.image.color import AB_BINS, _constant, to_lab

NO_COLOR = -1
GREYEST = 5.0  # |a| and |b| up to which a picture counts as one without colour (Zhang et al.)
TEMPERATURE = 0.38  # of the annealed mean (Zhang et al., section 2.3)
_REACH = 110  # codes cover -110..110 in a and b, which holds all of sRGB
_SIDE = 2 * _REACH


def sparse_ab(images, stride):
    """a and b of every `stride`-th pixel from the first: uint8 `(..., H, W, 3)` to float32
    `(..., ceil(H / stride), ceil(W / stride), 2)`. No averaging, as in the authors' network.
    """
    pixels = ops.cast(images[..., ::stride, ::stride, :], "float32") / 255.0
    return to_lab(pixels)[..., 1:]


def without_colour(ab):
    """Which pictures have no |a| or |b| above GREYEST: `(B, h, w, 2)` to bool `(B,)`."""
    return ops.max(ops.abs(ab), (1, 2, 3)) <= GREYEST


def to_codes(ab):
    """Colour codes of a and b: float `(..., 2)` to int32 `(...)`."""
    cell = ops.cast(ops.clip(ops.floor(ab) + _REACH, 0, _SIDE - 1), "int32")
    return cell[..., 0] * _SIDE + cell[..., 1]


def from_codes(codes):
    """The middle of each code's square: int32 `(...)` to float32 `(..., 2)`; of -1 as of 0."""
    codes = ops.maximum(codes, 0)
    return ops.cast(ops.stack([codes // _SIDE, codes % _SIDE], -1), "float32") + 0.5 - _REACH


@functools.lru_cache(maxsize=8)
def neighbour_table(neighbours=5, sigma=5.0):
    """The nearest bins of each code, and their weights.

    Weights are exp(-d**2 / (2 sigma**2)) of the distance d in ab, over their sum (Zhang et al.,
    ECCV 2016, section 2.2); they are those of the middle of the code's square.

    Returns:
        `(indices, weights)`, int32 and float32, both `(codes, neighbours)`, the nearest first.
    """
    indices = np.empty((_SIDE * _SIDE, neighbours), "int32")
    weights = np.empty((_SIDE * _SIDE, neighbours), "float32")
    b = np.arange(_SIDE) + 0.5 - _REACH
    for row in range(_SIDE):  # an a at a time, for the memory
        distance = ((row + 0.5 - _REACH - AB_BINS[:, 0]) ** 2
                    + (b[:, None] - AB_BINS[:, 1]) ** 2)
        near = np.argsort(distance, 1, kind="stable")[:, :neighbours]
        distance = np.take_along_axis(distance, near, 1)
        share = np.exp((distance[:, :1] - distance) / (2.0 * sigma**2))
        place = slice(row * _SIDE, (row + 1) * _SIDE)
        indices[place] = near
        weights[place] = share / share.sum(1, keepdims=True)
    indices.setflags(write=False)
    weights.setflags(write=False)
    return indices, weights


def soft_encoding(codes, neighbours=5, sigma=5.0):
    """The nearest bins of colour codes and their weights: the non-zero entries of the target.

    Args:
        codes: int32 `(...)`; -1 is answered as if it were 0.
        neighbours: how many; 5 in the paper, 10 in the authors' code.
        sigma: of the weights, in units of ab.

    Returns:
        `(indices, weights)`, int32 and float32 `(..., neighbours)`; see `neighbour_table`.
    """
    indices, weights = neighbour_table(neighbours, sigma)
    codes = ops.maximum(codes, 0)
    return (ops.take(ops.convert_to_tensor(indices), codes, axis=0),
            ops.take(ops.convert_to_tensor(weights), codes, axis=0))


def annealed_mean(logits, temperature=TEMPERATURE):
    """The colour that logits of the bins mean: float `(..., 313)` to ab, float32 `(..., 2)`.

    The mean of the bins under softmax(logits / temperature): the mean at 1, towards the most
    likely bin as the temperature goes to 0, which itself gives that bin (Zhang et al., ECCV 2016,
    equation 5).
    """
    logits = ops.cast(logits, "float32")
    if temperature == 0:
        return ops.take(_constant(AB_BINS), ops.argmax(logits, -1), axis=0)
    return ops.matmul(ops.softmax(logits / temperature, axis=-1), _constant(AB_BINS))
