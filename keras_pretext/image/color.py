"""sRGB and CIELAB, and the grid of colours that colorization chooses from.

CIELAB is that of the D65 white and the 2 degree observer, as in scikit-image and in the code of
Zhang, Isola and Efros (ECCV 2016): L in 0..100; for 8-bit sRGB a in -86.2..98.2 and b in
-107.9..94.5.
"""

import numpy as np
from keras import ops

from keras_pretext.image.framing import to_uint8

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169],
                    [0.019334, 0.119193, 0.950227]])
_FROM_XYZ = np.array([[3.24048134, -1.53715152, -0.49853633], [-0.96925495, 1.87599, 0.04155593],
                      [0.05564664, -0.20404134, 1.05731107]])
_WHITE = np.array([0.95047, 1.0, 1.08883])

# a: the least and the largest b, in steps of 10. The 313 grid points of the authors' table.
_B_RANGES = {-90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100),
             -40: (-40, 100), -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100),
             10: (-80, 90), 20: (-80, 90), 30: (-90, 90), 40: (-100, 90), 50: (-100, 80),
             60: (-110, 80), 70: (-110, 80), 80: (-110, 70), 90: (-110, 70), 100: (-90, 0)}
AB_BINS = np.array([(a, b) for a, (low, high) in _B_RANGES.items()
                    for b in range(low, high + 1, 10)], "float32")


def to_grey(images):
    """uint8 RGB `(..., 3)` to uint8 of the same shape, all channels the luma, rounded half up."""
    weights = np.repeat(np.array(LUMA)[:, None] * 1000, 3, 1).round()  # whole: sums are exact
    pixels = ops.reshape(ops.cast(images, "float32"), (-1, 3))
    luma = ops.matmul(pixels, weights.astype("float32"))
    grey = ops.cast(ops.floor((luma + 500.0) / 1000.0), "uint8")
    return ops.reshape(grey, ops.shape(images))


def to_lab(pixels):
    """sRGB `(..., 3)` in 0..1 to CIELAB, float32."""
    v = ops.cast(pixels, "float32")
    # `where` evaluates both branches: neither may see what it cannot take
    linear = ops.where(v > 0.04045, ops.power((ops.maximum(v, 0.04045) + 0.055) / 1.055, 2.4),
                       v / 12.92)
    t = ops.matmul(linear, _constant(_TO_XYZ.T / _WHITE))
    f = ops.where(t > 0.008856, ops.power(ops.maximum(t, 0.008856), 1.0 / 3.0),
                  7.787 * t + 16.0 / 116.0)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return ops.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], -1)


def lightness(images):
    """L of CIELAB in 0..100: uint8 sRGB `(..., 3)` to float32 `(...)`."""
    y = _luminance(images)
    return ops.where(y > 0.008856, 116.0 * ops.power(ops.maximum(y, 0.008856), 1.0 / 3.0) - 16.0,
                     116.0 * 7.787 * y)


def grey_of_lightness(images):
    """The grey of the same L, to half a level: uint8 sRGB `(..., 3)` to uint8 `(..., 1)`."""
    y = _luminance(images)[..., None]
    grey = ops.where(y > 0.0031308,
                     1.055 * ops.power(ops.maximum(y, 0.0031308), 1.0 / 2.4) - 0.055, 12.92 * y)
    return to_uint8(grey * 255.0)


def from_lab(lab):
    """CIELAB `(..., 3)` to sRGB, float32, clipped to 0..1 where it is no such colour."""
    lab = ops.cast(lab, "float32")
    y = (lab[..., 0] + 16.0) / 116.0
    f = ops.stack([y + lab[..., 1] / 500.0, y, ops.maximum(y - lab[..., 2] / 200.0, 0.0)], -1)
    t = ops.where(f > 0.2068966, f * f * f, (f - 16.0 / 116.0) / 7.787)
    linear = ops.maximum(ops.matmul(t, _constant((_FROM_XYZ * _WHITE).T)), 0.0)
    v = ops.where(linear > 0.0031308,
                  1.055 * ops.power(ops.maximum(linear, 0.0031308), 1.0 / 2.4) - 0.055,
                  12.92 * linear)
    return ops.clip(v, 0.0, 1.0)


def nearest_bin(ab):
    """The place in AB_BINS of the nearest colour: `(..., 2)` to int32 `(...)`; the first of equals.
    """
    bins = AB_BINS  # |x - bin|**2 is least where 2 x.bin - |bin|**2 is largest
    score = (ops.matmul(ops.cast(ab, "float32"), _constant(2.0 * bins.T))
             - _constant((bins ** 2).sum(1)))
    return ops.cast(ops.argmax(score, axis=-1), "int32")


def _luminance(images):
    """Y of CIE XYZ in 0..1: uint8 sRGB `(..., 3)` to float32 `(...)`, by a table of 256 values."""
    v = np.arange(256) / 255
    linear = np.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)
    return ops.sum(ops.take(_constant(linear), ops.cast(images, "int32"))
                   * _constant(_TO_XYZ[1]), -1)


def _constant(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))
