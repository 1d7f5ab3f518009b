import keras
import numpy as np
import pytest

from keras_pretext.layers.lasso_mixing import LassoMixing, UnitL1


def test_the_mixture_by_hand(rng):
    units = [rng.normal(k, k + 1, (8, 4, 4, 3)).astype("float32") for k in range(3)]
    layer = LassoMixing()
    layer(units)
    weights = np.array([3.0, 0.0, -4.0], "float32")
    layer.weights_of_units.assign(weights)
    normal = [(x - x.mean((0, 1, 2))) / x.std((0, 1, 2)) for x in units]
    expected = 0.6 * normal[0] - 0.8 * normal[2]
    np.testing.assert_allclose(layer(units, training=True), expected, atol=1e-3)
    layer.weights_of_units.assign(10 * weights)  # only their directions count
    np.testing.assert_allclose(layer(units, training=True), expected, atol=1e-3)


def test_the_penalty_and_how_many_units_are_in_use():
    for weights, length, used in (([2, 0, 0, 0], 1, 1), ([-1, 1, -1, 1], 2, 4),
                                  ([0, 5, 5, 0], 2**0.5, 2)):
        assert float(UnitL1(0.1)(np.array(weights, "float32"))) == pytest.approx(0.1 * length)
        layer = LassoMixing(0.1)
        layer([np.zeros((1, 1, 1, 2), "float32")] * 4)
        layer.weights_of_units.assign(weights)
        assert float(layer.units_in_use()) == pytest.approx(used, rel=1e-5)
        assert float(sum(layer.losses)) == pytest.approx(0.1 * length)


def learnt(penalty, rng):
    """Units in use after learning to repeat the second unit, of which the third is a copy."""
    keras.utils.set_random_seed(0)
    units = rng.normal(0, 1, (3, 256, 1, 1, 2)).astype("float32")
    units = [units[0], units[1], units[1] + 0.3 * units[2], units[2]]
    inputs = [keras.Input((1, 1, 2)) for _ in units]
    mixing = LassoMixing(penalty)
    model = keras.Model(inputs, mixing(inputs))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    for _ in range(150):
        model.train_on_batch(units, units[1])
    weights = mixing.weights_of_units.numpy()
    return weights / np.linalg.norm(weights)


def test_the_penalty_makes_the_mixture_sparse(rng):
    sparse = np.abs(learnt(0.5, rng))
    assert sparse[1] > 0.97 and np.delete(sparse, 1).max() < 0.2
    with pytest.raises(ValueError, match="0 or positive. Received: -1"):
        LassoMixing(-1)
    layer = LassoMixing(0.3)
    assert LassoMixing.from_config(layer.get_config()).penalty == 0.3
