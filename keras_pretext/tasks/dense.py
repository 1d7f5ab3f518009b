"""Answers at pixels: from the cells of a tap to the places that a task asks about."""

import numpy as np
from keras import ops

from keras_pretext.backbones.receptive import receptive_field


def centre_of(backbone, tap, image_size):
    """The pixel that cell 0 of a tap is centred on; 0 where that cannot be told (mixed units)."""
    try:
        return receptive_field(backbone, tap, image_size).centre
    except ValueError:
        return 0.0


def at_every(maps, from_stride, to_stride, size, offset=0.0, start=0):
    """Maps of one stride at the places of another, bilinear: `(B, h, w, C)` to `(B, n, n, C)`.

    Cell i of a map stands at pixel i * from_stride + offset (`centre_of`; 0 where every layer pads
    by half of its kernel), and the places are start, start + to_stride ... below size. Beyond the
    first and the last cell their values hold. Where every place has a cell that is centred within
    half a stride of it, that cell answers.
    """
    places = np.arange(start, size, to_stride)
    if from_stride == to_stride and abs(offset - start) <= from_stride / 2 and (
            tuple(maps.shape[1:3]) == (len(places),) * 2):
        return maps
    rows, columns = (bilinear((places - offset) / from_stride, length)
                     for length in maps.shape[1:3])
    x = ops.einsum("yh,bhwc->bywc", ops.convert_to_tensor(rows), maps)
    return ops.einsum("xw,bywc->byxc", ops.convert_to_tensor(columns), x)


def bilinear(places, length):
    """Weights of the cells 0 ... length - 1 at fractional places: float32 `(places, length)`."""
    places = np.clip(places, 0, length - 1)
    return np.maximum(1.0 - np.abs(places[:, None] - np.arange(length)), 0.0).astype("float32")
