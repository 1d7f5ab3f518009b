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


@keras.saving.register_keras_serializable(package="keras_pretext")
class CosineTripletLoss(keras.losses.Loss):
    """Mean over the members X of a pair, and negatives N, of `max(0, margin + D(X, X+) - D(X, N))`.

    D is one minus the cosine. X+ is the other member, N any member of another pair of the batch:
    what a negative drawn at random costs on average. With `hard`, half of the weight is on the four
    that cost most and half on the others that cost anything (Wang and Gupta, ICCV 2015, draw two
    of each). If all embeddings are the same the loss is the margin; a pair without negatives is
    free.

    Embeddings `y_pred` are float `(batch, heads, 2, features)`, or `(batch, 2, features)` of one
    head. Of two heads, the second is asked about intra pairs and the first about all others.

    Args:
        margin: positive; 0.5 in both papers.
        hard: see above.
        groups: with True, `y_true` are integers `(batch, 4)`: the parent of each pair, the videos
            of its members, and 1 for an intra pair. A pair is a negative of another only where
            their parents differ and they share no video: else it may show the same thing (Wang, He
            and Gupta, ICCV 2017, section 5). With False `y_true` is not read and every other
            pair is one.

    Raises:
        ValueError: for a margin that is not positive.
    """

    def __init__(self, margin=0.5, hard=False, groups=True, name="cosine_triplet", **kwargs):
        if not margin > 0:
            raise ValueError(f"margin is positive. Received: {margin}")
        super().__init__(name=name, **kwargs)
        self.margin, self.hard, self.groups = margin, bool(hard), bool(groups)

    def call(self, y_true, y_pred):
        cosine, own, other = _cosines(y_true, y_pred, self.groups)
        cost = ops.maximum(self.margin + cosine - own[..., None], 0.0) * other
        if self.hard:
            count = ops.sum(ops.cast(cost > 0, "float32"), -1)
            padded = ops.pad(cost, ((0, 0), (0, 0), (0, 4)))  # a pair alone has two others
            most = ops.sum(ops.top_k(padded, 4)[0], -1)
            rest = ops.sum(cost, -1) - most
            hardest = most / ops.clip(count, 1.0, 4.0)
            others = rest / ops.maximum(count - 4.0, 1.0)
            cost = ops.where(count > 4, 0.5 * (hardest + others), hardest)
        else:
            cost = ops.sum(cost, -1) / ops.maximum(ops.sum(other, -1), 1.0)
        return ops.mean(cost, -1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "hard": self.hard,
                "groups": self.groups}


def negatives(y_true):
    """Which pairs may be each other's negatives, bool `(batch, batch)`; see `CosineTripletLoss`."""
    parent, videos = y_true[:, 0], y_true[:, 1:3]
    same = ops.any(videos[:, None, :, None] == videos[None, :, None, :], (2, 3))
    return (parent[:, None] != parent[None]) & ~same


def _cosines(y_true, y_pred, groups):
    """Cosines of every member with all of the batch, and with its own partner; what is a negative.

    Returns:
        float32 `(batch, 2, 2 * batch)`, `(batch, 2)` and `(batch, 1, 2 * batch)` of 0 and 1.
    """
    x = ops.cast(y_pred, "float32")
    x = x[:, None] if len(x.shape) == 3 else x
    x = x * ops.rsqrt(ops.maximum(ops.sum(x * x, -1, keepdims=True), 1e-12))
    count, features = ops.shape(x)[0], x.shape[-1]
    if groups:
        y_true = ops.cast(y_true, "int32")
        other = negatives(y_true)
    else:
        other = ~ops.eye(count, dtype="bool")
    cosine = [ops.matmul(x[:, head], ops.transpose(ops.reshape(x[:, head], (-1, features))))
              for head in range(x.shape[1])]
    own = [ops.repeat(ops.sum(x[:, head, 0] * x[:, head, 1], -1)[:, None], 2, 1)
           for head in range(x.shape[1])]
    if len(own) == 2:
        intra = y_true[:, 3, None] == 1
        cosine, own = (ops.where(intra[..., None], cosine[1], cosine[0]),
                       ops.where(intra, own[1], own[0]))
    else:
        cosine, own = cosine[0], own[0]
    other = ops.repeat(ops.cast(other, "float32"), 2, 1)
    return cosine, own, other[:, None]


@keras.saving.register_keras_serializable(package="keras_pretext")
class CosineTripletAccuracy(keras.metrics.Mean):
    """Share of the triplets of `CosineTripletLoss` whose partner is nearer than the negative.

    Chance is a half; embeddings that are all the same have 0.
    """

    def __init__(self, groups=True, name="accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.groups = groups

    def update_state(self, y_true, y_pred, sample_weight=None):
        cosine, own, other = _cosines(y_true, y_pred, self.groups)
        nearer = ops.cast(own[..., None] > cosine + 1e-6, "float32")
        return super().update_state(nearer, sample_weight=ops.broadcast_to(other,
                                                                           ops.shape(nearer)))

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}
