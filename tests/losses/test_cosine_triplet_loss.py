import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.losses.triplet import CosineTripletAccuracy, CosineTripletLoss, negatives

# parent, videos of both patches, intra
ROWS = np.array([[0, 0, 1, 0], [0, 2, 2, 1], [1, 0, 3, 0], [1, 4, 5, 0], [2, 6, 6, 1],
                 [3, 7, 1, 0]], "int32")


def naive(rows, x, margin, hard=False, head=None):
    """Loops over pairs, members and candidates; the loss of each pair and the share nearer."""
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    costs, nearer = [], []
    for i in range(len(x)):
        own, h = [], 0 if head is None else head(rows[i])
        for k in (0, 1):
            anchor, found = unit[i, h, k], []
            partner = 1 - anchor @ unit[i, h, 1 - k]
            for j in range(len(x)):
                other = rows is None or (rows[i][0] != rows[j][0]
                                         and not set(rows[i][1:3]) & set(rows[j][1:3]))
                if j != i and other:
                    for n in (0, 1):
                        found.append(partner - (1 - anchor @ unit[j, h, n]))
            nearer += [f < 0 for f in found]
            cost = sorted((max(0, margin + f) for f in found), reverse=True)
            if hard:
                cost = [c for c in cost if c > 0]
                most, rest = cost[:4], cost[4:]
                mean = np.mean(most) if most else 0
                own.append((mean + np.mean(rest)) / 2 if rest else mean)
            else:
                own.append(np.mean(cost) if cost else 0)
        costs.append(np.mean(own))
    return costs, np.mean(nearer)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("heads", [1, 2])
def test_loss_and_accuracy_are_those_of_plain_loops(rng, hard, heads):
    x = rng.normal(size=(6, heads, 2, 5)).astype("float32")
    which = (lambda row: row[3]) if heads == 2 else None
    expected, share = naive(ROWS, x, 0.5, hard, which)
    found = CosineTripletLoss(hard=hard, reduction=None)(ROWS, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    metric = CosineTripletAccuracy()
    metric.update_state(ROWS, x)
    assert float(metric.result()) == pytest.approx(share, abs=1e-6)


def test_no_negative_shares_the_parent_or_a_video():
    found = negatives(tf.constant(ROWS)).numpy()
    expected = np.ones((6, 6), bool)
    for i, j in ((0, 1), (2, 3),           # the same parent
                 (0, 2), (0, 5)):          # a video in common, on either side
        expected[i, j] = expected[j, i] = False
    np.fill_diagonal(expected, False)
    np.testing.assert_array_equal(found, expected)


def test_equal_embeddings_cost_the_margin_and_a_pair_alone_nothing():
    same = np.ones((6, 1, 2, 4), "float32")
    for hard in (False, True):
        assert float(CosineTripletLoss(0.3, hard)(ROWS, same)) == pytest.approx(0.3, abs=1e-6)
        alone = tf.Variable(np.eye(2, 4, dtype="float32")[None, None])
        with tf.GradientTape() as tape:
            loss = CosineTripletLoss(hard=hard)(ROWS[:1], alone)
        assert float(loss) == 0 and not np.any(tape.gradient(loss, alone))
    metric = CosineTripletAccuracy()
    metric.update_state(ROWS, same)
    assert float(metric.result()) == 0


def test_without_groups_every_other_pair_is_a_negative(rng):
    x = rng.normal(size=(4, 2, 5)).astype("float32")
    rows = np.stack([np.arange(4), 10 + np.arange(4), 20 + np.arange(4), np.zeros(4)], 1)
    expected, _ = naive(rows, x[:, None], 0.5)
    found = CosineTripletLoss(groups=False, reduction=None)(np.zeros((4, 2)), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gradient_and_config(rng):
    x = tf.Variable(rng.normal(size=(6, 1, 2, 5)).astype("float32"))
    for hard in (False, True):
        loss = CosineTripletLoss(0.7, hard)
        with tf.GradientTape() as tape:
            value = loss(ROWS, x)
        slope = tape.gradient(value, x).numpy()
        step = 1e-3 * rng.normal(size=x.shape).astype("float32")
        change = (float(loss(ROWS, x + step)) - float(loss(ROWS, x - step))) / 2
        assert change == pytest.approx((slope * step).sum(), rel=0.05)
        assert CosineTripletLoss.from_config(loss.get_config()).get_config() == loss.get_config()
    with pytest.raises(ValueError, match="positive. Received: 0"):
        CosineTripletLoss(0)
