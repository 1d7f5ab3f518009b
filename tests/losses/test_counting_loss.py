import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.losses.counting import (
    CountingLoss,
    counting_accuracy,
    other_distance,
    pair_distance,
)


def naive(counts, margin):
    """The loss and its gradient, picture by picture, count by count."""
    batch, _, size = counts.shape
    loss, gradient = 0.0, np.zeros_like(counts)
    for x in range(batch):
        y = (x - 1) % batch
        total = np.zeros(size)
        for tile in range(1, counts.shape[1]):
            total += counts[x, tile]
        own, other = counts[x, 0] - total, counts[y, 0] - total
        loss += (own ** 2).sum() / batch
        gradient[x, 0] += 2 * own / batch
        gradient[x, 1:] -= 2 * own / batch
        if (other ** 2).sum() < margin:  # the whole vector's, not each count's
            loss += (margin - (other ** 2).sum()) / batch
            gradient[y, 0] -= 2 * other / batch
            gradient[x, 1:] += 2 * other / batch
    return loss, gradient


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 3.0])  # all, some and none within the margin
def test_loss_and_gradient_are_the_naive_ones(rng, scale):
    counts = np.maximum(rng.normal(size=(6, 5, 12)) * scale, 0)
    x = tf.constant(counts, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = CountingLoss(10.0)(tf.zeros((6,)), x)
    expected, gradient = naive(counts, 10.0)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, x), gradient, rtol=1e-4, atol=1e-5)


def test_the_margin_is_on_the_whole_vector():
    """Each count differs by 1, four times in all: the squared norm is 4 < 10, hinge 6."""
    counts = np.zeros((2, 5, 4), "float32")
    counts[0, 0], counts[0, 1] = 1, 1  # picture 0 has one of each, picture 1 nothing
    np.testing.assert_allclose(pair_distance(None, counts), [0, 0])
    np.testing.assert_allclose(other_distance(None, counts), [4, 4])
    assert float(CountingLoss(10.0)(np.zeros(2), counts)) == pytest.approx(6.0)
    np.testing.assert_array_equal(counting_accuracy(None, counts), [1, 1])


def test_counts_of_zero_cost_the_margin_and_blind_counts_more():
    zeros = np.zeros((4, 5, 8), "float32")
    assert float(CountingLoss(10.0)(np.zeros(4), zeros)) == 10
    np.testing.assert_array_equal(counting_accuracy(None, zeros), 0)
    for constant in (0.1, 0.35, 1.0):
        assert float(CountingLoss(10.0)(np.zeros(4), zeros + constant)) >= 10


def test_the_true_answer_costs_nothing(rng):
    tiles = rng.random((4, 4, 50)).astype("float32") * np.arange(1, 5)[:, None, None] * 3
    counts = np.concatenate([tiles.sum(1, keepdims=True), tiles], 1)
    assert float(CountingLoss(10.0)(np.zeros(4), counts)) == pytest.approx(0, abs=1e-4)


def test_one_picture_alone_has_no_other():
    counts = np.zeros((1, 5, 3), "float32")
    counts[0, 0] = 1
    assert float(CountingLoss(10.0)(np.zeros(1), counts)) == pytest.approx(3)


def test_config():
    loss = CountingLoss(3.0)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, CountingLoss) and again.margin == 3.0
    with pytest.raises(ValueError, match="positive. Received: 0"):
        CountingLoss(0)
