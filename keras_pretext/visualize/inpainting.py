"""What a trained model paints where something is cut out of a picture."""

import math
import numbers

import numpy as np
from keras import ops

from keras_pretext.image import masks
from keras_pretext.image.framing import resample
from keras_pretext.tasks.inpainting import Inpainting
from keras_pretext.visualize.checks import rgb, task_of


def inpaint(model, image, box=None, mask=None):
    """A picture, a part of which is painted anew from what is around it.

    The network sees a square around the part, of twice its longer side (a little more where the
    task has an overlap), mirrored at the picture's edges, at its own size. Only what is to be
    painted changes.

    Args:
        model: a PretextModel of `Inpainting`, as `load_run` or `zoo.load(name, head=True)` give.
        image: uint8 `(height, width, 3)`, or `(height, width)`, grey.
        box: `(left, top, width, height)` in pixels.
        mask: bool `(height, width)` in place of a box, True where it is to be painted. A model of
            central blocks sees nothing of the square around them.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: for another task's model, what is no picture, a box that is not inside the
            picture, an empty mask or one that leaves nothing of the picture.
    """
    task = task_of(model, Inpainting)
    image = rgb(image)
    mask = _mask(image.shape[:2], box, mask)
    top, left, side = _window(task, mask)
    filled = image.copy()
    filled[mask] = task.fill
    rows, columns = (_mirrored(start, side, length) for start, length in
                     ((top, len(image)), (left, image.shape[1])))
    seen = _rounded(_resized(filled[rows][:, columns], task.image_size))
    seen[_hole(task, mask[rows][:, columns])] = task.fill
    canvas = seen.astype("float32")
    start = (task.image_size - task.region_size) // 2
    place = slice(start, start + task.region_size)
    answer = ops.convert_to_numpy(model(ops.convert_to_tensor(seen[None]), training=False))[0]
    canvas[place, place] = (answer + 1.0) * 127.5
    painted = _rounded(_resized(canvas, side))
    y, x = np.nonzero(mask)
    out = image.copy()
    out[y, x] = painted[y - top, x - left]
    return out


def _mask(shape, box, mask):
    """What is to be painted, bool `shape`; refuses what makes no sense."""
    if (box is None) == (mask is None):
        raise ValueError("what is to be painted is either a box or a mask. "
                         f"Received: box={box!r}, mask {'given' if mask is not None else None}")
    height, width = shape
    if box is not None:
        if len(box) != 4 or not all(isinstance(number, numbers.Integral) for number in box):
            raise ValueError("a box is left, top, width, height in whole pixels. "
                             f"Received: {box!r}")
        x, y, w, h = (int(number) for number in box)
        if w < 1 or h < 1:
            raise ValueError(f"a box is at least 1 pixel wide and high. Received: {w} x {h}")
        if x < 0 or y < 0 or x + w > width or y + h > height:
            raise ValueError(f"the box lies inside the picture, which is {width} x {height}; its "
                             f"columns are {x} to {x + w - 1} and its rows {y} to {y + h - 1}. "
                             f"Received: {(x, y, w, h)}")
        mask = np.zeros(shape, bool)
        mask[y:y + h, x:x + w] = True
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (height, width):
        raise ValueError(f"a mask is bool ({height}, {width}), as the picture. "
                         f"Received: {mask.dtype} {mask.shape}")
    if not mask.any():
        raise ValueError("a mask is True where the picture is to be painted. "
                         "Received: an empty mask")
    if mask.all():
        raise ValueError("something of the picture stays, to go by. "
                         f"Received: all of its {width} x {height} pixels to be painted")
    return mask


def _window(task, mask):
    """The square that the network sees, around the mask: top, left, side; it may reach outside."""
    y, x = np.nonzero(mask)
    extents = [(int(k.min()), int(k.max()) + 1) for k in (y, x)]
    hole = (task.region_size - 2 * task.overlap if task.region == "central"
            else task.image_size // 2)
    side = math.ceil(max(high - low for low, high in extents) * task.image_size / hole)
    return *((low + high - side) // 2 for low, high in extents), side


def _mirrored(start, count, length):
    """Places from `start` on, int `(count,)`, mirrored at both ends of `length`."""
    place = np.arange(start, start + count) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def _hole(task, mask):
    """The pixels that the network does not see, bool `(size, size)`, for the window's mask."""
    size = task.image_size
    if task.region == "central":
        return ops.convert_to_numpy(
            masks.central_block(1, size, task.region_size - 2 * task.overlap))[0]
    return _resized(mask[..., None].astype("float32"), size)[..., 0] > 1e-3


def _rounded(image):
    return np.clip(np.floor(image + 0.5), 0, 255).astype("uint8")


def _resized(image, size):
    image = ops.convert_to_tensor(np.asarray(image, "float32")[None])
    zero, sides = ops.zeros((1,), "int32"), [ops.full((1,), n, "int32") for n in image.shape[1:3]]
    return ops.convert_to_numpy(resample(image, zero, zero, *sides, size))[0]
