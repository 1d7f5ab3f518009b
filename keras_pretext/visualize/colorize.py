"""The colours that a trained model gives to a picture, at the picture's full size."""

import numpy as np
from keras import ops

from keras_pretext.image.color import from_lab, grey_of_lightness, lightness
from keras_pretext.image.framing import to_uint8
from keras_pretext.tasks.colorization import Colorization
from keras_pretext.tasks.dense import bilinear, centre_of
from keras_pretext.visualize.checks import rgb, task_of

_ROWS = 1 << 20  # pixels of the large picture that are worked on at a time
_LONGEST = 8  # the long side that the network sees, in short sides, at most


def colorize(model, image, temperature=None, size=None):
    """A picture with the colours that a model of the task `colorization` guesses.

    Only the picture's lightness is looked at. The network sees it with the short side at `size`
    and its own aspect ratio; its colours are enlarged bilinearly and joined with the lightness at
    full size (Zhang et al., ECCV 2016, section 2.3).

    Args:
        model: a PretextModel of `Colorization`, as `load_run` or `zoo.load(name, head=True)` give.
        image: uint8 `(height, width, 3)`, or `(height, width)`, grey.
        temperature: of the annealed mean; the task's by default (0.38 in the paper).
        size: of the short side, in pixels; the task's `image_size` by default.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: for another task's model, or what is no picture.
    """
    task = task_of(model, Colorization)
    image = rgb(image)
    if temperature is not None and not temperature >= 0:
        raise ValueError(f"temperature is 0 or positive. Received: {temperature!r}")
    size = task.image_size if size is None else size
    if size < 1:
        raise ValueError(f"size is at least 1 pixel. Received: {size!r}")

    ab, stride, first, seen = _colors(task, model, image, temperature, size)
    out, width = np.empty(image.shape, "uint8"), image.shape[1]
    columns = _weights(width, seen[1], stride, first, ab.shape[1])
    rows = _weights(image.shape[0], seen[0], stride, first, ab.shape[0])
    ab = np.einsum("xw,hwc->hxc", columns, ab)
    step = max(1, _ROWS // width)
    for top in range(0, len(image), step):
        part = slice(top, top + step)
        light = ops.convert_to_numpy(lightness(ops.convert_to_tensor(image[part])))
        lab = np.concatenate([light[..., None],
                              np.einsum("yh,hxc->yxc", rows[part], ab)], -1)
        out[part] = ops.convert_to_numpy(to_uint8(from_lab(lab.astype("float32")) * 255.0))
    return out


def _colors(task, model, image, temperature, size):
    """The network's colours: ab `(h, w, 2)`, their stride, the pixel of the first of them, and the
    size that it saw."""
    from PIL import Image

    scale = size / min(image.shape[:2])
    seen = [min(round(n * scale), _LONGEST * size) for n in image.shape[:2]]
    small = np.asarray(Image.fromarray(image).resize(seen[::-1], Image.Resampling.BILINEAR))
    grey = ops.repeat(grey_of_lightness(ops.convert_to_tensor(small)), 3, -1)
    tap = task.tap or [*model.backbone.taps][-1]
    maps = model.backbone.extractor(tap)(grey[None], training=False)
    ab = task.to_ab(model.get_layer("colors")(maps), temperature)
    return (ops.convert_to_numpy(ab)[0], model.backbone.taps[tap].stride,
            centre_of(model.backbone, tap, size), seen)


def _weights(length, seen, stride, first, cells):
    """Bilinear weights of cells at the places of the picture's pixels: `(length, cells)`."""
    places = (np.arange(length) + 0.5) * (seen / length) - 0.5
    return bilinear((places - first) / stride, cells)
