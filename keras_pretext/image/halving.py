"""Pictures of half the side, by one of several resampling filters."""

import numpy as np
from keras import ops

from keras_pretext.image.framing import to_uint8


def _area(x):
    return (np.abs(x) < 0.5).astype("float64")


def _bilinear(x):
    return np.maximum(1.0 - np.abs(x), 0.0)


def _bicubic(x, a=-0.5):
    x = np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(x):
    return np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)


FILTERS = {"bicubic": _bicubic, "bilinear": _bilinear, "lanczos": _lanczos, "area": _area}


def kernel(name, size):
    """The matrix that halves a line: float32 `(size // 2, size)`, rows sum to 1.

    The filter is stretched by two, so that it also smooths, and cut off at the borders: what
    Pillow's `resize` does. Bicubic is that of a = -0.5, Lanczos has three lobes.

    Args:
        name: a key of `FILTERS`.
        size: even length of the line.
    """
    centre = 2.0 * np.arange(size // 2)[:, None] + 1.0
    weights = FILTERS[name]((np.arange(size)[None] + 0.5 - centre) / 2.0)
    return (weights / weights.sum(1, keepdims=True)).astype("float32")


def halve(images, filters, which):
    """Square pictures at half their side, each by the filter of its own.

    Args:
        images: uint8 `(batch, size, size, channels)`, size even.
        filters: names among `FILTERS`.
        which: int32 `(batch,)`, places in `filters`.

    Returns:
        uint8 `(batch, size // 2, size // 2, channels)`.
    """
    size, channels = images.shape[1], images.shape[-1]
    kernels = ops.convert_to_tensor(np.stack([kernel(name, size) for name in filters]))
    own = ops.take(kernels, which, axis=0)
    x = ops.reshape(ops.cast(images, "float32"), (-1, size, size * channels))
    x = ops.reshape(ops.matmul(own, x), (-1, size // 2, size, channels))
    return to_uint8(ops.einsum("btw,bhwc->bhtc", own, x))
