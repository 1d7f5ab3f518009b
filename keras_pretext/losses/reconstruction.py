"""Reconstruction of pixels, of all or of those that were dropped.

`y_true` is uint8: `(batch, height, width, 3)` for all pixels, or with a fourth channel that says
which are compared: 0 not, 1 dropped, 2 of the frame around the dropped ones. `y_pred` is float
`(batch, height, width, 3)` in [-1, 1].
"""

import keras
from keras import ops

KEPT, DROPPED, FRAME = 0, 1, 2


def pixels(y_true):
    """The colours in [-1, 1], float32 `(batch, height, width, 3)`."""
    return ops.cast(y_true[..., :3], "float32") / 127.5 - 1.0


def compared(y_true, frame_weight=1.0):
    """1 at dropped pixels, `frame_weight` in the frame, else 0: float32, one channel."""
    if y_true.shape[-1] == 3:
        return ops.ones_like(y_true[..., :1], dtype="float32")
    kind = y_true[..., 3:]
    return (ops.cast(kind == DROPPED, "float32")
            + frame_weight * ops.cast(kind == FRAME, "float32"))


@keras.saving.register_keras_serializable(package="keras_pretext")
class Reconstruction(keras.losses.Loss):
    """`|| M (x - F((1 - M) x)) ||**2` (Pathak et al., CVPR 2016, equation 1), M = 1 where dropped.

    Args:
        frame_weight: of the squared error in the frame (10 in the paper).
        normalize: divide by the number of values compared, three a pixel, as the released code
            does and its weights 0.999 and 0.001 expect; else it is the squared norm as written.
            Nothing compared costs nothing.
    """

    def __init__(self, frame_weight=10.0, normalize=True, name="reconstruction", **kwargs):
        super().__init__(name=name, **kwargs)
        if not frame_weight >= 0:
            raise ValueError(f"frame_weight is at least 0. Received: {frame_weight!r}")
        self.frame_weight, self.normalize = frame_weight, normalize

    def call(self, y_true, y_pred):
        weight = compared(y_true, self.frame_weight)
        error = ops.square(pixels(y_true) - ops.cast(y_pred, "float32"))
        cost = ops.sum(weight * error, axis=(1, 2, 3))
        if not self.normalize:
            return cost
        return cost / ops.maximum(3.0 * ops.sum(compared(y_true), axis=(1, 2, 3)), 1.0)

    def get_config(self):
        return {**super().get_config(), "frame_weight": self.frame_weight,
                "normalize": self.normalize}


@keras.saving.register_keras_serializable("keras_pretext", "psnr")
def psnr(y_true, y_pred):
    """Peak signal to noise ratio in dB over the pixels compared, float32 `(batch,)`; at most 100.
    """
    weight = compared(y_true)
    error = ops.sum(weight * ops.square(pixels(y_true) - ops.cast(y_pred, "float32")), (1, 2, 3))
    error = error / ops.maximum(3.0 * ops.sum(weight, (1, 2, 3)), 1.0)
    return 10.0 * ops.log10(4.0 / ops.maximum(error, 4e-10))


@keras.saving.register_keras_serializable("keras_pretext", "diversity")
def diversity(y_true, y_pred):
    """How much answers differ from picture to picture, as a share of how much the truth does.

    The ratio of the deviations over the batch, at the pixels compared; 0 where all pictures get
    the same answer, or where the batch is of one picture. A scalar.
    """
    weight = compared(y_true)
    count = ops.maximum(ops.sum(weight, 0, keepdims=True), 1.0)

    def spread(x):
        mean = ops.sum(weight * x, 0, keepdims=True) / count
        return ops.sum(weight * ops.square(x - mean))

    truth, answer = spread(pixels(y_true)), spread(ops.cast(y_pred, "float32"))
    return ops.where(truth > 0.0, ops.sqrt(answer / ops.maximum(truth, 1e-12)), 0.0)
