"""Cutting patches and grids out of pictures."""

import numpy as np
from keras import ops


def cut(images, top, left, size):
    """Square windows, of which every example has several at its own places.

    Args:
        images: `(batch, height, width, channels)`, any dtype.
        top, left: int32 `(batch, count)` or `(batch, count, channels)`; with the latter every
            channel is read at a place of its own. Windows lie inside the picture: places are
            clamped.
        size: side of the windows in pixels.

    Returns:
        `(batch, count, size, size, channels)` of the dtype of `images`.
    """
    shape = ops.shape(images)
    height, width, channels = shape[1], shape[2], images.shape[-1]
    if len(top.shape) == 2:
        top, left = top[..., None], left[..., None]
    top = ops.clip(top, 0, height - size)[:, :, None, None]
    left = ops.clip(left, 0, width - size)[:, :, None, None]
    offset = ops.arange(size, dtype="int32")
    rows = top + offset[:, None, None]  # (batch, count, size, 1, channels or 1)
    columns = left + offset[:, None]
    if top.shape[-1] == 1:  # whole pixels, gathered at once
        index = (rows * width + columns)[..., 0]
        flat = ops.reshape(images, (-1, height * width, channels))
        taken = ops.take_along_axis(flat, ops.reshape(index, (shape[0], -1, 1)), axis=1)
    else:
        index = (rows * width + columns) * channels + ops.arange(channels, dtype="int32")
        flat = ops.reshape(images, (-1, height * width * channels))
        taken = ops.take_along_axis(flat, ops.reshape(index, (shape[0], -1)), axis=1)
    return ops.reshape(taken, (-1, top.shape[1], size, size, channels))


def grid_origins(count, cell):
    """Top-left corners of a `count` by `count` grid: int32 arrays `(count**2,)`, raster order."""
    place = np.arange(count, dtype="int32") * cell
    top, left = np.meshgrid(place, place, indexing="ij")
    return top.ravel(), left.ravel()
