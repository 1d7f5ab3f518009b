import keras
import numpy as np
import pytest

from keras_pretext.training.optimizers import CoupledAdam, CoupledSGD, build


def test_coupled_decay_is_torchs_sgd():
    """v = m v + (g + d w); w = w - lr v, by hand."""
    w, v = np.array([1.0, -2.0], "float32"), np.zeros(2, "float32")
    variable = keras.Variable(w)
    optimizer = CoupledSGD(0.1, momentum=0.9, coupled_decay=0.5)
    optimizer.build([variable])
    for g in ([0.3, 0.1], [-0.2, 0.4], [0.0, 0.0]):
        g = np.array(g, "float32")
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(g), variable)])
        v = 0.9 * v + g + 0.5 * w
        w = w - 0.1 * v
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), w, rtol=1e-5)


def test_coupled_decay_is_torchs_adam():
    """m and v of g + d w, both corrected for their start, by hand."""
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    variable = keras.Variable(w.astype("float32"))
    optimizer = build("adam", 0.1, momentum=0.5, weight_decay=0.5)
    assert isinstance(optimizer, CoupledAdam)
    optimizer.build([variable])
    for step, g in enumerate(([0.3, 0.1], [-0.2, 0.4], [0.0, 0.0]), 1):
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(np.float32(g)), variable)])
        g = g + 0.5 * w
        m, v = 0.5 * m + 0.5 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.1 * (m / (1 - 0.5**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), w, rtol=1e-4)
    again = CoupledAdam.from_config(optimizer.get_config())
    assert (again.coupled_decay, again.beta_1) == (0.5, 0.5)


def test_coupled_decay_of_rmsprop():
    """s of g + d w; w = w - lr (g + d w) / sqrt(s + epsilon), by hand."""
    w, s = np.array([1.0, -2.0]), np.zeros(2)
    variable = keras.Variable(w.astype("float32"))
    optimizer = build("rmsprop", 0.1, weight_decay=0.5)
    optimizer.build([variable])
    for g in ([0.3, 0.1], [-0.2, 0.4]):
        optimizer.apply_gradients([(keras.ops.convert_to_tensor(np.float32(g)), variable)])
        g = g + 0.5 * w
        s = 0.9 * s + 0.1 * g * g
        w = w - 0.1 * g / np.sqrt(s + 1e-7)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), w, rtol=1e-4)
    assert type(optimizer).from_config(optimizer.get_config()).coupled_decay == 0.5


def test_a_recipe_names_its_optimizer():
    sgd = build("sgd", 0.1, 0.8, True, 0.3)
    assert isinstance(sgd, CoupledSGD)
    assert (sgd.momentum, sgd.nesterov, sgd.coupled_decay) == (0.8, True, 0.3)
    with pytest.raises(ValueError, match="Did you mean 'adam'"):
        build("adm", 0.1)
