"""Rotations of square pictures."""

import math

import numpy as np
from keras import ops


def rotate_quarter(images, turns):
    """Rotates counter-clockwise by 90 degrees `turns` times, by flip and transpose alone.

    The same as `numpy.rot90(image, turns)` (Gidaris et al., 2018, section 2.2).

    Args:
        images: `(batch, side, side, channels)`, any dtype.
        turns: integer, taken modulo 4.
    """
    turns %= 4
    if turns == 0:
        return images
    if turns == 2:
        return ops.flip(images, (1, 2))
    if turns == 1:
        return ops.flip(ops.transpose(images, (0, 2, 1, 3)), 1)
    return ops.transpose(ops.flip(images, 1), (0, 2, 1, 3))


def turn_and_blur(images, degrees, crop, sigma=1.2):
    """The central `crop` square of pictures rotated counter-clockwise, through a round kernel.

    Every output pixel is the Gaussian-weighted mean (`sigma`, in pixels, over 11x11 neighbours) of
    the source around its exact place. A round kernel has the same response at every angle and
    phase, and leaves nothing above the Nyquist circle: blur does not tell the angle, as it would
    if only the copies that need it were interpolated.

    Args:
        images: uint8 `(batch, side, side, channels)`.
        degrees: the angle; every output pixel must fall inside the picture.
        crop: side of the result, at most side/sqrt(2) for multiples of 45 degrees.

    Returns:
        uint8 `(batch, crop, crop, channels)`.
    """
    side, channels = int(images.shape[1]), int(images.shape[-1])
    offset = np.arange(crop) - (crop - 1) / 2
    y, x = np.meshgrid(offset, offset, indexing="ij")
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    centre = (side - 1) / 2
    source_y, source_x = centre + c * y + s * x, centre - s * y + c * x
    flat = ops.reshape(ops.cast(images, "float32"), (-1, side * side, channels))
    total, norm = 0.0, 0.0
    near_y, near_x = np.round(source_y), np.round(source_x)
    for dy in range(-5, 6):
        for dx in range(-5, 6):
            py, px = near_y + dy, near_x + dx
            weight = np.exp(-((py - source_y) ** 2 + (px - source_x) ** 2) / (2 * sigma**2))
            weight *= (py >= 0) & (py < side) & (px >= 0) & (px < side)
            index = np.clip(py, 0, side - 1) * side + np.clip(px, 0, side - 1)
            pixels = ops.take(flat, index.astype("int32").ravel(), axis=1)
            total = total + pixels * weight.astype("float32").ravel()[None, :, None]
            norm = norm + weight
    out = total / norm.astype("float32").ravel()[None, :, None]
    return ops.cast(ops.floor(ops.reshape(out, (-1, crop, crop, channels)) + 0.5), "uint8")
