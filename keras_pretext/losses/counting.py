"""The contrastive counting loss (Noroozi, Pirsiavash, Favaro, ICCV 2017, equation 3).

All functions take `y_true`, which says nothing and is not read, and `y_pred`, float
`(batch, 1 + tiles, counts)`: the counts of the downsampled picture, then those of its tiles.
Another picture of the batch is the one before it, the last for the first; under a strategy the
batch is the replica's.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_pretext", "counting_pair_distance")
def pair_distance(y_true, y_pred):
    """Squared distance of a picture's counts to the sum of its tiles': float32 `(batch,)`."""
    whole, total = _parts(y_pred)
    return ops.sum(ops.square(whole - total), axis=-1)


@keras.saving.register_keras_serializable("keras_pretext", "counting_other_distance")
def other_distance(y_true, y_pred):
    """The same with the counts of another picture against this one's tiles: float32 `(batch,)`."""
    whole, total = _parts(y_pred)
    return ops.sum(ops.square(ops.roll(whole, 1, axis=0) - total), axis=-1)


@keras.saving.register_keras_serializable(package="keras_pretext")
def counting_accuracy(y_true, y_pred):
    """1 where a picture's own counts are nearer to the sum of its tiles than another's: (batch,).
    """
    own, other = pair_distance(y_true, y_pred), other_distance(y_true, y_pred)
    return ops.cast(own < other, "float32")


def _parts(y_pred):
    y_pred = ops.cast(y_pred, "float32")
    return y_pred[:, 0], ops.sum(y_pred[:, 1:], axis=1)


@keras.saving.register_keras_serializable(package="keras_pretext")
class CountingLoss(keras.losses.Loss):
    """`own + max(0, margin - other)`, own and other the squared distances of whole vectors.

    The margin is compared with the squared norm of the difference of two whole count vectors,
    not with each count for itself. Counts that are zero for every picture cost `margin`, and so
    does, at least, any answer that does not depend on the picture. A batch of one has no other
    picture; its loss is `own` alone.

    Args:
        margin: positive; 10 in the paper.
    """

    def __init__(self, margin=10.0, name="counting", **kwargs):
        super().__init__(name=name, **kwargs)
        if not margin > 0:
            raise ValueError(f"margin is positive. Received: {margin!r}")
        self.margin = margin

    def call(self, y_true, y_pred):
        own, other = pair_distance(y_true, y_pred), other_distance(y_true, y_pred)
        contrast = ops.maximum(0.0, self.margin - other)
        return own + contrast * ops.cast(ops.shape(y_pred)[0] > 1, "float32")

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}
