"""Boxes `(n, 4)`: top, left, bottom, right in pixels, float32 NumPy."""

import numpy as np


def area(boxes, inclusive=0):
    """`(n,)`; with `inclusive=1` a box from pixel 3 to pixel 3 is 1 wide (PASCAL VOC)."""
    return (boxes[:, 2] - boxes[:, 0] + inclusive) * (boxes[:, 3] - boxes[:, 1] + inclusive)


def pair_iou(a, b, inclusive=0):
    """Intersection over union of boxes, row by row: `(n,)` for `(n, 4)` and `(n, 4)`."""
    sides = [np.maximum(np.minimum(a[:, k + 2], b[:, k + 2]) - np.maximum(a[:, k], b[:, k])
                        + inclusive, 0) for k in (0, 1)]
    both = sides[0] * sides[1]
    union = area(a, inclusive) + area(b, inclusive) - both
    return np.divide(both, union, out=np.zeros(len(both)), where=union > 0)


def iou(a, b, inclusive=0):
    """Intersection over union of every box with every other: `(n, m)`."""
    n, m = len(a), len(b)
    return pair_iou(np.repeat(a, m, 0), np.tile(b, (n, 1)), inclusive).reshape(n, m)


def centred(boxes):
    """`(centres (n, 2), sizes (n, 2))`; sizes are at least 1 pixel."""
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    return boxes[:, :2] + sizes / 2, sizes


def encode(boxes, truth):
    """What moves `boxes` onto `truth`, `(n, 4)`: shifts in units of the size, then log ratios.

    Girshick et al. (R-CNN, CVPR 2014, appendix C).
    """
    (centres, sizes), (aims, wanted) = centred(boxes), centred(truth)
    return np.concatenate([(aims - centres) / sizes, np.log(wanted / sizes)], 1).astype("float32")


def decode(boxes, moves):
    """Boxes `(n, 4)` moved by `(n, 4)`; the inverse of `encode`."""
    centres, sizes = centred(boxes)
    centres = centres + moves[:, :2] * sizes
    sizes = sizes * np.exp(np.minimum(moves[:, 2:], np.log(1000 / 16)))
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], 1).astype("float32")


def clip(boxes, size):
    """Boxes cut to a picture of `(height, width)`."""
    height, width = size
    return np.clip(boxes, 0, np.float32([height, width, height, width]))
