import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.depth import depth_accuracy, depth_loss


def test_accuracy_by_hand():
    truth = np.array([1.0, 2.0, 4.0, 1.0, 1.0])
    answer = np.array([1.24, 2.0 / 1.26, 4.0 * 1.6, 2.0, 0.81])
    assert depth_accuracy(truth, answer) == pytest.approx(
        {"below_1.25": 2 / 5, "below_1.25^2": 3 / 5, "below_1.25^3": 4 / 5})
    with pytest.raises(ValueError, match=r"positive.*the least \[1.0, 0.0\]"):
        depth_accuracy(truth, np.zeros(5))
    with pytest.raises(ValueError, match="at least one"):
        depth_accuracy([], [])


def test_loss_counts_known_depths():
    truth = np.float32([[[np.e, 0.0], [1.0, np.e**3]]])
    scores = np.float32([[[0.5], [7]], [[-1], [1]]])[None]
    losses, counts = map(keras.ops.convert_to_numpy, depth_loss(1.0)(truth, scores))
    np.testing.assert_array_equal(counts, [[[1, 0], [1, 1]]])
    np.testing.assert_allclose((losses * counts)[0], [[0.5, 0], [0, 1]], atol=1e-6)


def rooms(count, seed):
    """Bright is far; a corner is not known."""
    rng = np.random.default_rng(seed)
    far = rng.random((count, 1, 1)) < 0.5
    depth = np.broadcast_to(np.where(far, 8.0, 2.0), (count, 40, 48)).astype("float32").copy()
    images = np.where(far[..., None], 190, 70) + rng.normal(0, 10, (count, 40, 48, 3))
    depth[:, :5, :5], depth[:, 5:9, :5] = 0, np.nan
    return ArraySource(images.clip(0, 255).astype("uint8"), dense={"depth": depth})


def test_it_learns_and_bad_input(backbone):
    train, test = rooms(12, 1), rooms(6, 2)
    result = evaluation.depth(backbone, train, test, "low", fc_units=(16,), fc_kernel=1,
                              rescaled=False, iterations=100, batch_size=4, learning_rate=0.01,
                              drops=(0.6,))
    figures = result.details["low"][0]  # whoever knows the mean alone is wrong by 2 everywhere
    assert result.protocol == "fcn-nyu-depth" and figures["below_1.25^2"] > 0.8
    assert figures["below_1.25"] == result.mean("low") > 0.6
    assert set(figures) == {"seed", "below_1.25", "below_1.25^2",
                                               "below_1.25^3"}
    none = ArraySource(train.arrays()[0], dense={"depth": np.zeros((12, 40, 48), np.float32)})
    with pytest.raises(ValueError, match="test split has a pixel of known depth"):
        evaluation.depth(backbone, train, none)
    with pytest.raises(ValueError, match="needs data with depth"):
        evaluation.depth(backbone, ArraySource(train.arrays()[0]), test)
