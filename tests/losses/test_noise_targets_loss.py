import itertools
import sys

import keras
import numpy as np
import pytest

from keras_pretext.losses.noise_targets import (
    NoiseTargetsLoss,
    best_assignment,
    linear_sum_assignment,
    noise_targets_accuracy,
    sphere_points,
)


def test_points_lie_on_the_sphere_and_are_spread_over_it():
    points = sphere_points(3, np.arange(4000), 16)
    assert points.dtype == np.float32 and points.shape == (4000, 16)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-6)
    assert abs(points.mean(0)).max() < 0.02  # no direction is preferred: deviation 1/4 / 63
    np.testing.assert_allclose(points.T @ points / 4000, np.eye(16) / 16, atol=0.01)
    np.testing.assert_allclose((points ** 4).mean() * 16 * 18, 3, atol=0.1)  # as a normal's


def test_a_point_is_a_function_of_seed_and_index_alone():
    points = sphere_points(7, np.arange(10), 8)
    np.testing.assert_array_equal(sphere_points(7, [9, 2], 8), points[[9, 2]])
    np.testing.assert_array_equal(sphere_points(7, 5, 8), points[5])
    assert abs(sphere_points(8, np.arange(10), 8) - points).min() > 0
    assert sphere_points(7, np.arange(10).reshape(2, 5), 8).shape == (2, 5, 8)
    np.testing.assert_allclose(sphere_points(0, 0, 3),  # for ever: resumed runs rest on it
                               [0.8387172, -0.36972895, -0.3998174], atol=1e-6)


def test_the_assignment_by_hand():
    """Greedy would give picture 0 its nearest point, 0, for 0.9 + 0.1; the swap gives 1.6."""
    outputs = np.array([[0.9, 0.8], [0.8, 0.1]])
    np.testing.assert_array_equal(best_assignment(outputs, np.eye(2)), [1, 0])
    np.testing.assert_array_equal(best_assignment(np.eye(3), np.eye(3)[[2, 0, 1]]), [1, 2, 0])


def test_no_permutation_is_better(rng):
    outputs = rng.normal(size=(6, 4))
    outputs /= np.linalg.norm(outputs, axis=1, keepdims=True)
    points = sphere_points(0, np.arange(6), 4)
    order = best_assignment(outputs, points)
    losses = {p: ((outputs - points[list(p)]) ** 2).sum() for p in itertools.permutations(range(6))}
    assert sorted(order) == list(range(6))
    assert losses[tuple(order.tolist())] == min(losses.values())


def test_outputs_that_are_not_finite_are_not_assigned():
    assert best_assignment(np.array([[np.nan, 0], [0, 1]]), np.eye(2)) is None


def test_a_missing_scipy_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"keras_pretext\[noise_targets\].*Received"):
        linear_sum_assignment()


def test_the_loss_sums_over_features_and_averages_over_the_batch():
    outputs = np.array([[1.0, 0, 0], [0, 1, 0]], "float32")
    targets = np.array([[0.0, 1, 0], [0, 1, 0]], "float32")
    assert float(NoiseTargetsLoss()(targets, outputs)) == pytest.approx((2 + 0) / 2)
    np.testing.assert_array_equal(noise_targets_accuracy(targets, outputs), [0, 0])  # ties: no
    np.testing.assert_array_equal(noise_targets_accuracy(np.eye(3)[:2], outputs), [1, 1])


def test_loss_and_gradient_are_the_naive_ones(rng):
    import tensorflow as tf

    outputs, targets = rng.normal(size=(2, 5, 7)).astype("float32")
    x = tf.constant(outputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = NoiseTargetsLoss()(targets, x)
    expected = sum(sum((o - t) ** 2 for o, t in zip(a, b, strict=True))
                   for a, b in zip(outputs, targets, strict=True)) / 5
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, x), 2 * (outputs - targets) / 5, rtol=1e-5)


def test_config():
    loss = keras.losses.deserialize(keras.losses.serialize(NoiseTargetsLoss()))
    assert isinstance(loss, NoiseTargetsLoss)
