import keras
import numpy as np
import pytest

from keras_pretext.image import noise


def field(kind, draw, shape):
    return keras.ops.convert_to_numpy(kind(keras.ops.convert_to_tensor(draw), shape))


def test_uniform_noise_is_flat_uncorrelated_and_never_repeats_itself():
    draws = np.array([0.0, 2.0**-24, 0.25, 0.999999], "float32")
    x = field(noise.uniform, draws, (64, 64, 3))
    assert x.shape == (4, 64, 64, 3) and x.min() > 0 and x.max() < 1
    counts = np.histogram(x, 16, (0, 1))[0]
    assert abs(counts / x.size * 16 - 1).max() < 0.06
    flat = x.reshape(4, -1) - 0.5
    assert abs(np.corrcoef(flat) - np.eye(4)).max() < 0.04  # also of neighbouring draws
    lag = [(flat[:, k:] * flat[:, :-k]).mean() * 12 for k in (1, 3, 64, 192)]
    assert np.abs(lag).max() < 0.03
    np.testing.assert_array_equal(x[2:3], field(noise.uniform, draws[2:3], (64, 64, 3)))


def test_normal_noise_has_the_moments_of_a_normal_distribution():
    x = field(noise.normal, np.array([0.3, 0.7], "float32"), (100, 100, 3)).astype("float64")
    moments = [(x**k).mean() for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.08)
    assert np.isfinite(x).all()


@pytest.mark.parametrize("kind", [noise.uniform, noise.normal])
def test_the_same_noise_in_a_graph(kind):
    import tensorflow as tf

    draws = tf.constant([[0.1, 0.5], [0.9, 0.2]])
    graph = tf.function(lambda d: kind(d, (4, 5)))(draws)
    np.testing.assert_allclose(graph, kind(draws, (4, 5)), atol=1e-6)
    assert graph.shape == (2, 2, 4, 5)
