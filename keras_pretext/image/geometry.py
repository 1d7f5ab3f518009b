"""Rotations of pictures, and reading them between their pixels."""

import math

import numpy as np
from keras import ops


def mirror(images):
    """Pictures `(batch, height, width, channels)` with left and right exchanged."""
    # TensorFlow is quick where the pixels are the middle one of three axes: 18 against 180 us.
    rows = ops.reshape(images, (-1, *images.shape[2:]))
    return ops.reshape(ops.flip(rows, 1), (-1, *images.shape[1:]))


def select(chosen, images, others):
    """`images` where `chosen`, bool `(batch,)`, and `others` elsewhere: whole pictures.

    The same as `where`, which asks for every byte; this copies pictures.
    """
    count = ops.shape(images)[0]
    place = ops.arange(count) + ops.where(chosen, 0, count)
    return ops.take(ops.concatenate([images, others], 0), place, axis=0)


def rotate_quarter(images, turns):
    """Rotates counter-clockwise by 90 degrees `turns` times, by flip and transpose alone.

    The same as `numpy.rot90(image, turns)` (Gidaris et al., 2018, section 2.2).

    Args:
        images: `(batch, side, side, channels)`, any dtype.
        turns: integer, taken modulo 4.
    """
    return quarter_turns(images, [turns])[0]


def quarter_turns(images, turns):
    """`rotate_quarter` by each of `turns`, a list; pictures are transposed once at most."""
    quarter = None

    def half(x):  # every pixel in the opposite order
        pixels = ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
        return ops.reshape(ops.flip(pixels, 1), (-1, *x.shape[1:]))

    if any(turn % 2 for turn in turns):
        quarter = ops.transpose(mirror(images), (0, 2, 1, 3))
    turned = {0: lambda: images, 1: lambda: quarter, 2: lambda: half(images),
              3: lambda: half(quarter)}
    return [turned[turn % 4]() for turn in turns]


def stack(images):
    """Lists of pictures `(batch, height, width, channels)` to `(batch, len(images), ...)`.

    The same as `ops.stack(images, 1)`; in TensorFlow concatenation is far quicker.
    """
    rows = ops.concatenate(images, axis=1)
    return ops.reshape(rows, (-1, len(images), *images[0].shape[1:]))


def turn_and_blur(images, degrees, crop, sigma=1.2):
    """The central `crop` square of pictures rotated counter-clockwise, through a round kernel.

    Every output pixel is the Gaussian-weighted mean (`sigma`, in pixels, over 11x11 neighbours) of
    the source around its exact place. A round kernel has the same response at every angle and
    phase, and leaves nothing above the Nyquist circle: blur does not tell the angle, as it would
    if only the copies that need it were interpolated. Pixels outside the picture or outside its
    turn by 45 degrees do not count, at any angle.

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
            # and in the picture as a turn by 45 degrees has it: else the corners of some copies
            # are means of fewer pixels than those of the others
            weight *= abs(py - centre) + abs(px - centre) <= centre * math.sqrt(2) + 0.35
            index = np.clip(py, 0, side - 1) * side + np.clip(px, 0, side - 1)
            pixels = ops.take(flat, index.astype("int32").ravel(), axis=1)
            total = total + pixels * weight.astype("float32").ravel()[None, :, None]
            norm = norm + weight
    out = total / norm.astype("float32").ravel()[None, :, None]
    return ops.cast(ops.floor(ops.reshape(out, (-1, crop, crop, channels)) + 0.5), "uint8")


def sample(images, rows, columns):
    """Pictures read between their pixels, bilinearly; places outside are those of the border.

    Args:
        images: `(batch, height, width, channels)`, any dtype.
        rows, columns: float32 `(batch, h, w)`: places in pixels, 0 is the middle of the first.

    Returns:
        float32 `(batch, h, w, channels)`.
    """
    height, width, channels = images.shape[1:]
    flat = ops.reshape(images, (-1, height * width, channels))

    def ends(place, length):
        place = ops.clip(place, 0.0, length - 1.0)
        first = ops.minimum(ops.floor(place), max(length - 2.0, 0.0))
        return ops.cast(first, "int32"), (place - first)[..., None]

    (top, down), (left, right) = ends(rows, height), ends(columns, width)
    shape = (-1, *rows.shape[1:], channels)

    def pixels(row, column):
        index = ops.minimum(row, height - 1) * width + ops.minimum(column, width - 1)
        index = ops.reshape(index, (-1, rows.shape[1] * rows.shape[2], 1))
        return ops.reshape(ops.cast(ops.take_along_axis(flat, index, axis=1), "float32"), shape)

    upper = pixels(top, left) * (1.0 - right) + pixels(top, left + 1) * right
    lower = pixels(top + 1, left) * (1.0 - right) + pixels(top + 1, left + 1) * right
    return upper * (1.0 - down) + lower * down


def turned_square(centre_row, centre_column, side, degrees, size):
    """The places of the `size` by `size` points of a square that is turned counter-clockwise.

    Args:
        centre_row, centre_column, side, degrees: float32 `(batch,)`, in pixels and degrees.
        size: points along a side.

    Returns:
        rows, columns: float32 `(batch, size, size)`, as `sample` takes them.
    """
    offset = (np.arange(size, dtype="float32") - (size - 1) / 2) / size
    y, x = ops.convert_to_tensor(offset)[None, :, None], ops.convert_to_tensor(offset)[None, None]
    angle = degrees * (math.pi / 180.0)
    c = (ops.cos(angle) * side)[:, None, None]
    s = (ops.sin(angle) * side)[:, None, None]
    return (centre_row[:, None, None] + c * y + s * x,
            centre_column[:, None, None] + c * x - s * y)
