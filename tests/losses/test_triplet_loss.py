import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.losses.triplet import SemiHardTripletLoss, squared_distances, triplet_accuracy


def naive(embeddings, margin):
    """Triplet by triplet, in float64: the loss of each picture."""
    pictures, copies, _ = embeddings.shape
    x = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    out = []
    for p in range(pictures):
        costs = []
        for a in range(copies):
            negatives = [((x[p, a] - x[q, n]) ** 2).sum() for q in range(pictures) if q != p
                         for n in range(copies)]
            for b in range(copies):
                if a != b:
                    own = ((x[p, a] - x[p, b]) ** 2).sum()
                    farther = [d for d in negatives if d > own]
                    costs.append(max(0, margin + own - (min(farther) if farther
                                                        else max(negatives))))
        out.append(np.mean(costs))
    return np.array(out)


@pytest.mark.parametrize("copies", [2, 4])
def test_a_naive_loss_agrees(rng, copies):
    x = rng.normal(size=(5, copies, 6))
    x[0] = x[1, :1] + 0.01 * rng.normal(size=(copies, 6))  # some are hard, some have none farther
    x[2, 0] = -x[2, 1]
    loss = SemiHardTripletLoss(0.5, reduction=None)
    np.testing.assert_allclose(loss(np.zeros((5, copies)), tf.constant(x, tf.float32)),
                               naive(x, 0.5), atol=1e-5)
    assert (naive(x, 0.5) > 0.1).sum() >= 3


def test_its_gradient_is_that_of_the_naive_loss(rng):
    x = rng.normal(size=(3, 2, 4))
    variable = tf.Variable(x, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = SemiHardTripletLoss()(np.zeros((3, 2)), variable)
    found = tape.gradient(value, variable).numpy()
    expected, step = np.zeros_like(x), 1e-6
    for k in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[k] += step
        down[k] -= step
        expected[k] = (naive(up, 0.5).mean() - naive(down, 0.5).mean()) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert abs(expected).max() > 0.01


def test_the_norm_is_over_the_features(rng):
    """Scaling one embedding changes nothing; over the batch axis it would."""
    x = rng.normal(size=(4, 2, 3)).astype("f4")
    y = x.copy()
    y[1, 0] *= 100
    np.testing.assert_allclose(squared_distances(tf.constant(y)), squared_distances(tf.constant(x)),
                               atol=1e-4)
    assert np.asarray(squared_distances(tf.constant(x))).max() <= 4.0001


def test_collapse_costs_the_margin_and_perfection_nothing():
    same = np.ones((4, 3, 5), "f4")
    assert float(SemiHardTripletLoss(0.5)(np.zeros((4, 3)), same)) == pytest.approx(0.5, abs=1e-5)
    assert float(tf.reduce_mean(triplet_accuracy(None, tf.constant(same)))) == 0
    apart = np.repeat(np.eye(4, dtype="f4")[:, None], 3, 1)
    assert float(SemiHardTripletLoss(0.5)(np.zeros((4, 3)), apart)) == 0
    assert float(tf.reduce_mean(triplet_accuracy(None, tf.constant(apart)))) == 1


def test_one_picture_and_zeros_are_finite():
    loss = SemiHardTripletLoss()
    assert float(loss(np.zeros((1, 4)), np.ones((1, 4, 5), "f4"))) == 0
    zeros = tf.Variable(np.zeros((3, 2, 5), "f4"))
    with tf.GradientTape() as tape:
        value = loss(np.zeros((3, 2)), zeros)
    assert np.isfinite(value) and np.isfinite(tape.gradient(value, zeros)).all()


def test_random_embeddings_are_at_chance(rng):
    x = tf.constant(rng.normal(size=(2000, 2, 16)), tf.float32)
    assert float(tf.reduce_mean(triplet_accuracy(None, x))) == pytest.approx(0.5, abs=0.03)


def test_config_and_margin():
    assert SemiHardTripletLoss(0.2).get_config()["margin"] == 0.2
    with pytest.raises(ValueError, match="positive. Received: 0"):
        SemiHardTripletLoss(0)
