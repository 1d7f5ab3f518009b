"""Colour and contrast of pictures whose values are float32 RGB in 0..1."""

import numpy as np
from keras import ops

# Rows: the principal axes of the colours of ImageNet's pixels (Krizhevsky et al., 2012), brightness
# first, then blue to yellow, then green to magenta.
IMAGENET_AXES = ((0.5675, 0.5808, 0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203))


def to_hsv(pixels):
    """RGB in 0..1 to hue, saturation and value in 0..1; a grey has hue and saturation 0.

    Args:
        pixels: float32 `(..., 3)`.
    """
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    value = ops.max(pixels, -1)
    spread = value - ops.min(pixels, -1)
    grey = spread <= 0.0
    safe = ops.where(grey, 1.0, spread)
    sixth = ops.where(value == red, (green - blue) / safe,
                      ops.where(value == green, 2.0 + (blue - red) / safe,
                                4.0 + (red - green) / safe))
    hue = ops.where(grey, 0.0, ops.mod(sixth / 6.0, 1.0))
    saturation = ops.where(grey, 0.0, spread / ops.where(value <= 0.0, 1.0, value))
    return ops.stack([hue, saturation, value], -1)


def from_hsv(pixels):
    """The inverse of `to_hsv`; hues are taken modulo 1."""
    hue, saturation, value = pixels[..., 0], pixels[..., 1], pixels[..., 2]

    def channel(offset):
        k = ops.mod(offset + hue * 6.0, 6.0)
        return value - value * saturation * ops.clip(ops.minimum(k, 4.0 - k), 0.0, 1.0)

    return ops.stack([channel(5.0), channel(3.0), channel(1.0)], -1)


def scale_axes(pixels, factors, mean, axes):
    """Colours less their mean, multiplied along each of three orthonormal axes, plus the mean.

    Args:
        pixels: float32 `(batch, height, width, 3)`.
        factors: float32 `(batch, 3)`, one an axis.
        mean: RGB, on the scale of the pixels.
        axes: three rows, orthonormal, in RGB.
    """
    axes, mean = (ops.convert_to_tensor(np.asarray(x), "float32") for x in (axes, mean))
    matrix = ops.einsum("ki,bk,kj->bij", axes, factors, axes)
    flat = ops.reshape(pixels - mean, (-1, pixels.shape[1] * pixels.shape[2], 3))
    return ops.reshape(ops.matmul(flat, matrix), (-1, *pixels.shape[1:])) + mean


def stretch(pixels):
    """Each picture of `(batch, height, width, 3)` from its least to its largest value, to 0..1.

    A picture of one value only stays as it is.
    """
    low, high = ops.min(pixels, (1, 2, 3), keepdims=True), ops.max(pixels, (1, 2, 3), keepdims=True)
    flat = high <= low
    return ops.where(flat, pixels, (pixels - low) / ops.where(flat, 1.0, high - low))


def bend(channel, power, factor, addend):
    """`factor * channel ** power + addend`, clipped to 0..1.

    Args:
        channel: float32 `(batch, height, width)` in 0..1.
        power, factor, addend: float32 `(batch,)`.
    """
    power, factor, addend = (x[:, None, None] for x in (power, factor, addend))
    return ops.clip(ops.maximum(channel, 0.0) ** power * factor + addend, 0.0, 1.0)


def principal_axes(count, total, products):
    """Mean and principal axes of colours, the axis of largest variance first.

    Args:
        count: how many pixels.
        total: `(3,)`, their sum.
        products: `(3, 3)`, the sum of their outer products.

    Returns:
        float32 `(3,)` and `(3, 3)`, axes in rows; IMAGENET_AXES where all pixels agree.
    """
    mean = total / count
    variances, axes = np.linalg.eigh(products / count - np.outer(mean, mean))
    if not variances[-1] > 1e-9:
        axes = np.array(IMAGENET_AXES)[::-1].T
    return mean.astype("float32"), axes.T[::-1].astype("float32")
