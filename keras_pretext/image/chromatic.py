"""Defences against chromatic aberration: the colour shift of a lens tells where in a picture a
patch was (Doersch et al., 2015, section 3.1)."""

import numpy as np
from keras import ops

from keras_pretext.image import noise

_AXIS = np.array([-1.0, 2.0, -1.0])
# I - a'a / (a a') for the green-magenta axis a = (-1, 2, -1), rows and columns R, G, B
PROJECTION = np.eye(3) - np.outer(_AXIS, _AXIS) / (_AXIS @ _AXIS)


def project(pixels):
    """Removes the green-magenta axis from every RGB pixel `(..., 3)`; gives float32."""
    return ops.matmul(ops.cast(pixels, "float32"), ops.convert_to_tensor(PROJECTION, "float32"))


def drop_channels(patches, kept, seed):
    """Keeps one colour channel, centred; the other two become Gaussian noise.

    The noise has 1/100 of the kept channel's standard deviation.

    Args:
        patches: `(batch, count, size, size, 3)`, any dtype.
        kept: int32 `(batch, count)`, the channel that stays.
        seed: float32 `(batch, count)` in [0, 1), of the noise.

    Returns:
        float32, like `patches`; the kept channel has mean 0.
    """
    x = ops.cast(patches, "float32")
    mask = ops.one_hot(kept, 3, dtype="float32")[:, :, None, None]
    channel = ops.sum(x * mask, -1, keepdims=True)
    channel = channel - ops.mean(channel, (2, 3), keepdims=True)
    deviation = ops.sqrt(ops.mean(channel * channel, (2, 3), keepdims=True))
    fuzz = noise.normal(seed, tuple(patches.shape[2:])) * (deviation / 100.0)
    return channel * mask + fuzz * (1.0 - mask)
