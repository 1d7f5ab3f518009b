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
    top, left = ops.clip(top, 0, height - size), ops.clip(left, 0, width - size)
    if images.shape[0] == 1 and None not in top.shape[1:]:
        return _slices(images[0], top[0], left[0], size)[None]
    top, left = top[:, :, None, None], left[:, :, None, None]
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


def _slices(image, top, left, size):
    """`cut` of one picture by copying whole rows, which is several times faster than gathering."""
    corners = ops.stack([top, left, ops.zeros_like(top)], -1)  # (count, channels or 1, 3)
    shape = [size, size, image.shape[-1]]
    out = 0
    for channel in range(corners.shape[1]):
        windows = ops.stack([ops.slice(image, corner, shape)
                             for corner in ops.unstack(corners[:, channel])])
        if corners.shape[1] == 1:
            return windows
        mine = np.zeros(windows.shape, "uint8")  # of full size: to broadcast it would be slow
        mine[..., channel] = 1
        out = out + windows * ops.cast(mine, windows.dtype)
    return out


def grid_origins(count, cell):
    """Top-left corners of a `count` by `count` grid: int32 arrays `(count**2,)`, raster order."""
    place = np.arange(count, dtype="int32") * cell
    top, left = np.meshgrid(place, place, indexing="ij")
    return top.ravel(), left.ravel()


def pixelate(patches, side):
    """Patches shrunk to `side` pixels by averaging and brought back bilinearly.

    Args:
        patches: float32 `(batch, count, size, size, channels)`.
        side: int32 `(batch, count)`, 1 to size; a patch with `side` of its size stays as it is.
    """
    size = patches.shape[2]
    side = ops.cast(side, "float32")[..., None, None]
    place = ops.arange(size, dtype="float32")
    # small pixel i covers [i, i + 1) * size / side: its share of source pixel x
    edge = place[:, None] * (size / side)
    share = ops.minimum(edge + size / side, place[None] + 1.0) - ops.maximum(edge, place[None])
    down = ops.maximum(share, 0.0) * (side / size)
    centre = ops.clip((place[:, None] + 0.5) * (side / size) - 0.5, 0.0, side - 1.0)
    up = ops.maximum(1.0 - ops.abs(centre - place[None]), 0.0)
    both = ops.matmul(up, down)
    out = ops.einsum("bkyr,bkrcn->bkycn", both, patches)
    return ops.einsum("bkxc,bkycn->bkyxn", both, out)


def flat_field(patches):
    """Patches without the slope of light that a vignette leaves in them (flat-field correction).

    A least-squares plane is laid through each channel of each patch. The channel is divided by
    the plane over its mean, as far as that lies between 1/2 and 2, because lenses darken by a
    factor; what slope is left is subtracted. So the mean stays nearly as it was, and a patch of
    one colour stays as it is.

    Args:
        patches: `(..., height, width, channels)`, any dtype, in 0..255.

    Returns:
        float32, like `patches`.
    """
    x = ops.cast(patches, "float32")
    mean = ops.mean(x, (-3, -2), keepdims=True)
    share = 1.0 + _slopes(x) / ops.maximum(mean, 1.0)
    x = x / ops.clip(share, 0.5, 2.0)
    return x - _slopes(x)


def _slopes(x):
    """The least-squares plane of each channel, less its mean."""
    out = 0.0
    for axis in (-3, -2):
        size = x.shape[axis]
        place = (np.arange(size) - (size - 1) / 2).astype("float32")
        place = place / max(1e-6, float((place * place).mean()) ** 0.5)
        place = place.reshape((-1, 1, 1) if axis == -3 else (-1, 1))
        out = out + place * ops.mean(x * place, (-3, -2), keepdims=True)
    return out
