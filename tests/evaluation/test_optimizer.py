import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.evaluation.optimizer import HeadSGD, caffe_optimizer, optimizer_for
from keras_pretext.training.optimizers import CoupledSGD


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def naive_sgd(weights, gradients, rates, decay=5e-4, momentum=0.9, factor=1.0):
    """Nesterov momentum as Keras writes it, decay in the gradient (Torch: coupled)."""
    weights, velocity = weights.astype(np.float64), np.zeros(weights.shape)
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + decay * weights
        velocity = momentum * velocity - factor * rate * gradient
        weights = weights + momentum * velocity - factor * rate * gradient
    return weights


@pytest.mark.parametrize("graph", [True, False])
def test_optimizer_is_nesterov_with_coupled_decay(rng, graph):
    start, gradients = rng.normal(size=(5, 3)), rng.normal(size=(4, 5, 3))
    fast, slow, plain = (keras.Variable(start.astype("float32")) for _ in range(3))
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.02])
    optimizer, reference = (kind(schedule, 0.9, nesterov=True, coupled_decay=0.05)
                            for kind in (HeadSGD, CoupledSGD))
    optimizer.slow_down([slow], 0.1)
    optimizer.build([fast, slow])
    reference.build([plain])

    def apply(gradient):
        optimizer.apply([gradient, gradient], [fast, slow])
        reference.apply([gradient], [plain])

    for gradient in gradients.astype("float32"):
        (tf.function(apply) if graph else apply)(tf.constant(gradient))
    rates = [0.1, 0.1, 0.1, 0.02]  # Keras: the boundary step itself has the former rate
    np.testing.assert_allclose(numpy(fast), naive_sgd(start, gradients, rates, 0.05), atol=1e-6)
    np.testing.assert_allclose(numpy(fast), numpy(plain), atol=1e-6)
    np.testing.assert_allclose(numpy(slow), naive_sgd(start, gradients, rates, 0.05, factor=0.1),
                               atol=1e-6)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_what_is_spared_does_not_decay(rng, momentum):
    start = rng.normal(size=(4, 2)).astype("float32")
    kept, spared = keras.Variable(start), keras.Variable(start)
    optimizer = HeadSGD(0.1, momentum, coupled_decay=0.5)
    optimizer.build([kept, spared])
    optimizer.share_decay([spared], 0.0)
    optimizer.apply([tf.zeros_like(start)] * 2, [kept, spared])
    np.testing.assert_allclose(numpy(kept), 0.95 * start, rtol=1e-6)
    np.testing.assert_array_equal(numpy(spared), start)


def test_caffes_biases_learn_twice_as_fast_and_do_not_decay():
    layer = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")
    layer.build((None, 1))
    optimizer = caffe_optimizer(layer.trainable_variables, 3, 0.1, 0.0, (2 / 3,), 0.5)
    for _ in range(3):  # a gradient of 1
        optimizer.apply([tf.ones((1, 1)), tf.ones(1)], layer.trainable_variables)
    kernel = 1.0
    for rate in (0.1, 0.1, 0.01):
        kernel -= rate * (1 + 0.5 * kernel)
    np.testing.assert_allclose(numpy(layer.kernel), [[kernel]], rtol=1e-6)
    np.testing.assert_allclose(numpy(layer.bias), [1 - 2 * (0.1 + 0.1 + 0.01)], rtol=1e-6)


def test_the_rate_drops_after_its_part_of_the_steps():
    optimizer = optimizer_for(10, 0.1, (0.4, 0.8, 0.9), 0.2)
    rates = [float(optimizer._learning_rate(step)) for step in range(10)]
    expected = [0.1] * 4 + [0.02] * 4 + [0.004, 0.0008]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert float(optimizer_for(10, 0.3, (), 0.2).learning_rate) == pytest.approx(0.3)
