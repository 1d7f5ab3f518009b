import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.data.draws import _NumPy, _philox, draws, order


@pytest.mark.parametrize("word, answer", [
    (0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (0xFFFFFFFF, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
])
def test_philox_gives_the_published_known_answers(word, answer):
    full = [np.array([word], np.uint64)]
    out = _philox(_NumPy, full * 4, full * 2)
    assert " ".join(f"{int(v[0]):08x}" for v in out) == answer


def test_numpy_and_tensorflow_give_the_same_numbers():
    index = np.arange(500) * 7919
    mine = draws(3, 5, index, 7)
    assert mine.dtype == np.float32 and mine.shape == (500, 7)
    theirs = draws(3, tf.constant(5, tf.int64), tf.constant(index), 7)
    np.testing.assert_array_equal(mine, theirs.numpy())
    one = tf.function(lambda i: draws(3, 5, i, 7))(tf.constant(index[9]))
    np.testing.assert_array_equal(mine[9], one.numpy())


def test_draws_are_uniform_in_the_half_open_interval():
    values = draws(0, 0, np.arange(20000), 6)
    assert values.min() >= 0 and values.max() < 1
    counts = np.histogram(values, 20, (0, 1))[0] / values.size
    np.testing.assert_allclose(counts, 0.05, atol=0.002)
    assert abs(np.corrcoef(values.T) - np.eye(6)).max() < 0.03


def test_every_key_gives_another_stream():
    base = draws(0, 0, np.arange(100), 4)
    for other in (draws(1, 0, np.arange(100), 4), draws(0, 1, np.arange(100), 4),
                  draws(0, 0, np.arange(100) + 100, 4)):
        assert not np.isclose(base, other).any(axis=1).all()


def test_order_is_a_permutation_of_its_epoch():
    first, again, second = order(1000, 3, 0), order(1000, 3, 0), order(1000, 3, 1)
    np.testing.assert_array_equal(np.sort(first), np.arange(1000))
    np.testing.assert_array_equal(first, again)
    assert (first == second).sum() < 20


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 100003])
def test_tensorflow_gives_the_same_order(count):
    compiled = tf.function(lambda epoch, seed: order(count, seed, epoch))
    for seed, epoch in ((0, 0), (3, 1), (2**32 - 1, 70000)):
        theirs = compiled(tf.constant(epoch, tf.int64), seed)
        assert theirs.dtype == tf.int64
        np.testing.assert_array_equal(theirs, order(count, seed, epoch))


def test_a_seed_out_of_range_is_refused():
    with pytest.raises(ValueError, match="Received: -1"):
        draws(-1, 0, np.arange(3), 2)
