"""Features of a fixed size for boxes of any size."""

import math

import keras
from keras import ops

METHODS = ("crop", "max")


@keras.saving.register_keras_serializable(package="keras_pretext")
class RoIPooling(keras.layers.Layer):
    """Maps `(batch, H, W, C)` and boxes to `(boxes, size, size, C)`.

    "crop" samples each box bilinearly at 2 size x 2 size places (`tf.image.crop_and_resize`) and
    takes the maxima of 2 x 2 of them; it needs TensorFlow. "max" is the pooling of the paper and
    its released code, exactly: the box is rounded to whole features, its bins overlap where they
    must, and empty ones give 0 (Girshick, Fast R-CNN, ICCV 2015, section 2.1).

    Args:
        size: features on each side of the result.
        stride: pixels between two features.
        method: "crop" or "max".
        offset: the pixel that the first feature looks at; used by "crop". (The released code's
            rounding takes pixel `stride * k` for feature k.)

    Call arguments:
        maps: `(batch, H, W, C)`.
        boxes: `(n, 4)`: top, left, bottom, right in pixels.
        pictures: integers `(n,)`: which map a box lies on.
    """

    def __init__(self, size, stride, method="crop", offset=0.0, **kwargs):
        super().__init__(**kwargs)
        if method not in METHODS:
            raise ValueError(f"method is 'crop' or 'max'. Received: {method!r}")
        self.size, self.stride, self.method, self.offset = size, stride, method, offset

    def call(self, maps, boxes, pictures):
        boxes = ops.cast(boxes, "float32")
        pool = self._cropped if self.method == "crop" else self._maxima
        return ops.cast(pool(maps, boxes, pictures), maps.dtype)

    def _cropped(self, maps, boxes, pictures):
        import tensorflow as tf

        last = ops.cast(ops.shape(maps)[1:3], "float32") - 1.0
        places = (boxes - self.offset) / self.stride / ops.concatenate([last, last])
        crops = tf.image.crop_and_resize(ops.cast(maps, "float32"), places,
                                         ops.cast(pictures, "int32"), [2 * self.size] * 2)
        return ops.max_pool(crops, 2, 2)

    def _maxima(self, maps, boxes, pictures):
        """Every bin is covered by four squares with sides of powers of two that overlap."""
        _, height, width, channels = maps.shape
        if height is None or width is None:
            raise ValueError("the exact pooling needs maps of a known size; use method='crop'. "
                             f"Received: {maps.shape}")
        whole = ops.cast(ops.floor(boxes / self.stride + 0.5), "int32")
        bins = [self._bins(whole[:, k], whole[:, k + 2], side)
                for k, side in ((0, height), (1, width))]
        (top, rows), (left, columns) = bins
        levels = [1 + math.floor(math.log2(n)) for n in (height, width)]
        tables, table = [], maps
        for down in range(levels[0]):
            wide = table
            for right in range(levels[1]):
                tables.append(wide)
                wide = ops.maximum(wide, _shifted(wide, 2**right, 2))
            table = ops.maximum(table, _shifted(table, 2**down, 1))
        flat = ops.reshape(ops.stack(tables), (-1, channels))
        down, right = _log2(rows), _log2(columns)
        level = down[:, :, None] * levels[1] + right[:, None]  # (n, size, size)
        start = level * ops.shape(maps)[0] + ops.cast(pictures, "int32")[:, None, None]

        def corner(y, x):
            place = (start * height + y[:, :, None]) * width + x[:, None]
            return ops.take(flat, ops.maximum(place, 0), axis=0)

        below, beyond = top + rows - 2**down, left + columns - 2**right
        most = ops.maximum(ops.maximum(corner(top, left), corner(below, left)),
                           ops.maximum(corner(top, beyond), corner(below, beyond)))
        full = (rows > 0)[:, :, None] & (columns > 0)[:, None]
        return ops.where(full[..., None], most, ops.zeros_like(most))

    def _bins(self, first, last, side):
        """Start and length `(n, size)` of the bins on one side, cut to the map."""
        length = ops.cast(ops.maximum(last - first + 1, 1), "float32") / self.size
        step = ops.cast(ops.arange(self.size), "float32")
        # in float32, as the released code
        start = ops.cast(ops.floor(step * length[:, None]), "int32") + first[:, None]
        end = ops.cast(ops.ceil((step + 1) * length[:, None]), "int32") + first[:, None]
        start, end = (ops.clip(x, 0, side) for x in (start, end))
        return start, ops.maximum(end - start, 0)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "stride": self.stride,
                "method": self.method, "offset": self.offset}


def _shifted(maps, by, axis):
    """Maps moved up or left; what comes in at the end is never read alone."""
    room = [(0, 0)] * 4
    room[axis] = (0, by)
    padded = ops.pad(maps, room, mode="constant")
    return padded[:, by:] if axis == 1 else padded[:, :, by:]


def _log2(lengths):
    """The largest power of two in positive integers, its exponent; 0 of 0."""
    return sum(ops.cast(lengths >= 2**k, "int32") for k in range(1, 12))
