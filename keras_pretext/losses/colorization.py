"""Losses and metrics of colorization: answers are colour codes, see `image.color_codes`."""

import keras
import numpy as np
from keras import ops

from keras_pretext.image import color_codes
from keras_pretext.image.color import AB_BINS

AB_SCALE = 50.0  # ab per unit of a regressor's output


def sparse_crossentropy(logits, indices, shares):
    """Cross-entropy of targets of which only a few entries are not zero.

    logsumexp(logits) - sum(shares * logits[indices]). Neither it nor its gradient makes a target
    as wide as the logits: the gradient is the softmax, from which the shares are taken.

    Args:
        logits: float `(..., ways)`.
        indices: int32 `(..., entries)`, each once.
        shares: float `(..., entries)`, which sum to 1.

    Returns:
        float32 `(...)`.
    """
    ways = logits.shape[-1]

    @ops.custom_gradient
    def cost(logits):
        largest = ops.max(logits, axis=-1)
        powers = ops.exp(logits - largest[..., None])  # the only array as wide as the logits
        total = ops.sum(powers, axis=-1)
        pixels = ops.arange(ops.size(total), dtype="int32")
        places = ops.reshape(indices, (-1, indices.shape[-1])) + ways * pixels[:, None]
        chosen = ops.reshape(ops.take(ops.reshape(logits, (-1,)), places), ops.shape(indices))

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            full = ops.reshape(powers * (upstream / total)[..., None], (-1,))
            taken = ops.reshape(-shares * upstream[..., None], (-1,))
            return ops.reshape(_added(full, ops.reshape(places, (-1, 1)), taken),
                               ops.shape(logits))

        return ops.log(total) + largest - ops.sum(shares * chosen, axis=-1), gradient

    return cost(ops.cast(logits, "float32"))


def _added(array, places, values):
    """An array that nothing else needs, with values added at places.

    TensorFlow's usual scatter copies the array; its other one does not, but XLA lacks it (and
    needs no copy).
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.ops import control_flow_util

        if not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
            return tf.raw_ops.ScatterNdNonAliasingAdd(input=array, indices=places, updates=values)
    return ops.scatter_update(array, places, values, reduction="add")


@keras.saving.register_keras_serializable(package="keras_pretext")
class ColorCrossentropy(keras.losses.Loss):
    """Cross-entropy of 313 logits with softly encoded colours, weighted by how rare they are.

    Colour codes `(batch, h, w)`, -1 where no colour is asked, and logits `(batch, h, w, 313)`.
    A pixel's cost is multiplied by the weight of its nearest bin (Zhang et al., ECCV 2016,
    equations 2 to 4), and averaged over an example's pixels that have a colour. An example without
    any costs nothing.

    Args:
        weights: of the 313 bins; all 1 by default. See `tasks.color_prior.rebalancing`.
        neighbours, sigma: of the soft encoding; 1 neighbour is the nearest bin alone.
    """

    def __init__(self, weights=None, neighbours=5, sigma=5.0, name="color_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        if weights is not None and np.shape(weights) != (len(AB_BINS),):
            raise ValueError(f"weights are one a bin, ({len(AB_BINS)},). "
                             f"Received: shape {np.shape(weights)}")
        self.weights = None if weights is None else [float(w) for w in weights]
        self.neighbours, self.sigma = neighbours, sigma

    def call(self, y_true, y_pred):
        codes = ops.cast(y_true, "int32")
        indices, shares = color_codes.soft_encoding(codes, self.neighbours, self.sigma)
        cost = sparse_crossentropy(y_pred, indices, shares)
        if self.weights is not None:
            weights = ops.convert_to_tensor(np.array(self.weights, "float32"))
            cost = cost * ops.take(weights, indices[..., 0], axis=0)
        return _mean_of_known(cost, _known(codes))

    def get_config(self):
        return {**super().get_config(), "weights": self.weights, "neighbours": self.neighbours,
                "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="keras_pretext")
class ColorRegression(keras.losses.Loss):
    """Half the squared distance in ab / 50, averaged over an example's pixels that have a colour.

    Colour codes `(batch, h, w)`, -1 where no colour is asked, and outputs `(batch, h, w, 2)`, ab
    over 50. (Zhang et al., ECCV 2016, equation 1, but for the scale.)
    """

    def __init__(self, name="color_regression", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        codes = ops.cast(y_true, "int32")
        away = color_codes.from_codes(codes) / AB_SCALE - ops.cast(y_pred, "float32")
        return _mean_of_known(0.5 * ops.sum(away * away, -1), _known(codes))


@keras.saving.register_keras_serializable(package="keras_pretext")
class ColorAccuracy(keras.metrics.Mean):
    """The share of the pixels that have a colour whose largest logit is that of its nearest bin."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        codes = ops.cast(y_true, "int32")
        indices, _ = color_codes.soft_encoding(codes, 1)
        right = ops.cast(ops.argmax(y_pred, -1), "int32") == indices[..., 0]
        return super().update_state(ops.cast(right, "float32"), sample_weight=_known(codes))


@keras.saving.register_keras_serializable(package="keras_pretext")
class ColorDistance(keras.metrics.Mean):
    """The mean distance in ab of a regressor's colours, over the pixels that have one."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        codes = ops.cast(y_true, "int32")
        away = color_codes.from_codes(codes) - ops.cast(y_pred, "float32") * AB_SCALE
        distance = ops.sqrt(ops.sum(away * away, -1))
        return super().update_state(distance, sample_weight=_known(codes))


def _known(codes):
    return ops.cast(codes != color_codes.NO_COLOR, "float32")


def _mean_of_known(cost, known):
    axes = tuple(range(1, len(cost.shape)))
    return ops.sum(cost * known, axes) / ops.maximum(ops.sum(known, axes), 1.0)
