"""Noise as targets: fixed points on the unit sphere, and which picture gets which."""

import keras
import numpy as np
from keras import ops


def sphere_points(seed, index, dim):
    """Points of the unit sphere, uniformly distributed: a pure function of seed and index.

    Standard normal vectors over their norm (Bojanowski and Joulin, ICML 2017, section 3.2), by
    the Box-Muller transform of Philox bits; so none has to be stored.

    Args:
        seed: integer in [0, 2**32).
        index: integers from 0 on, any shape.
        dim: coordinates of a point, at least 2.

    Returns:
        float32 `index.shape + (dim,)`, each of norm 1.
    """
    index = np.asarray(index)
    bits = np.stack([np.random.Philox(key=[seed, k]).random_raw(dim)
                     for k in index.ravel().tolist()]) if index.size else np.zeros((0, dim), "u8")
    high, low = (((half & np.uint64(0xFFFFFFFF)).astype("float64") + 0.5) * 2.0**-32
                 for half in (bits >> np.uint64(32), bits))
    normal = np.sqrt(-2.0 * np.log(high)) * np.cos(2.0 * np.pi * low)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return normal.astype("float32").reshape(*index.shape, dim)


def linear_sum_assignment():
    """SciPy's solver. Raises ImportError, naming the extra, where SciPy is missing."""
    try:
        from scipy.optimize import linear_sum_assignment as solver
    except ImportError as error:
        raise ImportError("noise targets are assigned by scipy.optimize.linear_sum_assignment: "
                          "pip install keras_pretext[noise_targets]. "
                          f"Received: {error}") from None
    return solver


def best_assignment(outputs, points):
    """The permutation of the points that maximises the sum of `outputs[i] . points[p[i]]`.

    By the Hungarian algorithm, O(batch**3); for unit vectors this minimises the squared distances.

    Args:
        outputs, points: float `(batch, dim)`.

    Returns:
        int64 `(batch,)`, or None where the outputs are not finite.
    """
    score = np.asarray(outputs, "float64") @ np.asarray(points, "float64").T
    if not np.isfinite(score).all():
        return None
    return linear_sum_assignment()(score, maximize=True)[1].astype("int64")


def squared_distance(y_true, y_pred):
    """Squared error summed over the features: `(batch, dim)` twice to float32 `(batch,)`."""
    return ops.sum(ops.square(ops.cast(y_true, "float32") - ops.cast(y_pred, "float32")), axis=-1)


@keras.saving.register_keras_serializable(package="keras_pretext")
def noise_targets_accuracy(y_true, y_pred):
    """1 where an output is nearer to its own target than to the one before it in the batch."""
    other = squared_distance(ops.roll(y_true, 1, axis=0), y_pred)
    return ops.cast(squared_distance(y_true, y_pred) < other, "float32")


@keras.saving.register_keras_serializable(package="keras_pretext")
class NoiseTargetsLoss(keras.losses.Loss):
    """Squared error, summed over the features and averaged over the batch: from 0 to 4.

    Targets `(batch, dim)` and outputs `(batch, dim)` have norm 1, so it is 2 - 2 cos.
    """

    def __init__(self, name="noise_targets", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return squared_distance(y_true, y_pred)
