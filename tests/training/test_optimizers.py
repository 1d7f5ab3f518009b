import keras
import numpy as np

from keras_pretext.training.optimizers import CoupledSGD


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

