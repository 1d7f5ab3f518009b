"""Triplet ranking over a batch in which every picture has several copies."""

import keras
from keras import ops

_FAR = 1e6


def squared_distances(embeddings):
    """Squared distances of all copies of a batch, each embedding over its norm: 0 to 4.

    The norm is over the features of one copy. (The published code of Kolesnikov et al. takes it
    over the batch, which leaves a single embedding any length.)

    Args:
        embeddings: float `(batch, copies, features)`.

    Returns:
        float32 `(batch * copies, batch * copies)`.
    """
    x = ops.reshape(ops.cast(embeddings, "float32"), (-1, embeddings.shape[-1]))
    x = x * ops.rsqrt(ops.maximum(ops.sum(x * x, -1, keepdims=True), 1e-12))
    return ops.maximum(2.0 - 2.0 * ops.matmul(x, ops.transpose(x)), 0.0)


@keras.saving.register_keras_serializable(package="keras_pretext")
class SemiHardTripletLoss(keras.losses.Loss):
    """Mean over all pairs of copies of a picture of `max(0, margin + d(pair) - d(negative))`.

    d is `squared_distances`. The negative of a pair is the copy of another picture that is nearest
    to its first member among those farther than its second; where none is farther, the farthest
    (Schroff et al., CVPR 2015, section 3.2; Kolesnikov et al., CVPR 2019, with margin 0.5). If all
    embeddings are the same the loss is the margin; a batch of one picture costs 0.

    `y_true` is not read: which copies are of one picture is their place in `y_pred`, float
    `(batch, copies, features)`.

    Args:
        margin: positive.

    Raises:
        ValueError: for a margin that is not positive.
    """

    def __init__(self, margin=0.5, name="semi_hard_triplet", **kwargs):
        if not margin > 0:
            raise ValueError(f"margin is positive. Received: {margin}")
        super().__init__(name=name, **kwargs)
        self.margin = margin

    def call(self, y_true, y_pred):
        copies = y_pred.shape[1]
        distance = squared_distances(y_pred)
        count = ops.shape(distance)[0]
        place = ops.arange(count, dtype="int32")
        picture = place // copies
        other = picture[:, None] != picture[None]
        # of anchor i and each copy of its own picture: (count, copies)
        own = ops.take_along_axis(
            distance, picture[:, None] * copies + ops.arange(copies, dtype="int32")[None], 1)
        farther = other[:, None] & (distance[:, None] > own[:, :, None])
        nearest = ops.min(ops.where(farther, distance[:, None], _FAR), -1)
        farthest = ops.max(ops.where(other, distance, -_FAR), -1, keepdims=True)
        negative = ops.where(ops.any(farther, -1), nearest, farthest)
        cost = ops.maximum(self.margin + own - negative, 0.0)
        itself = place[:, None] % copies == ops.arange(copies, dtype="int32")[None]
        cost = ops.where(itself | ~ops.any(other, -1, keepdims=True), 0.0, cost)
        return ops.sum(ops.reshape(cost, (-1, copies * copies)), -1) / (copies * (copies - 1))

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@keras.saving.register_keras_serializable(package="keras_pretext")
def triplet_accuracy(y_true, y_pred):
    """Share of the copies that are nearer to the next copy of their picture than to one of another.

    `(batch, copies, features)` to float32 `(batch,)`; the other picture is the one before in the
    batch. Chance is a half; embeddings that are all the same have 0.
    """
    x = ops.cast(y_pred, "float32")
    x = x * ops.rsqrt(ops.maximum(ops.sum(x * x, -1, keepdims=True), 1e-12))
    near, far = ops.roll(x, 1, axis=1), ops.roll(x, 1, axis=0)
    return ops.mean(ops.cast(ops.sum(x * near, -1) > ops.sum(x * far, -1) + 1e-6, "float32"), -1)
