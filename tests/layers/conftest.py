import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture
def as_keras(rng):
    """Asserts that a layer has the weights, the values and the gradients of one of Keras."""
    def check(ours, theirs, x, tolerance=1e-4):
        theirs.build(x.shape)
        ours.build(x.shape)
        assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
        weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
        found = []
        for layer in (ours, theirs):
            layer.set_weights(weights)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
                loss = tf.reduce_sum(tf.square(tf.cast(y, "float32")))
            found.append([y, *tape.gradient(loss, [x, *[w.value for w in layer.weights]])])
        for a, b in zip(*found, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            a, b = (np.asarray(tf.cast(each, "float32")) for each in (a, b))
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * abs(b).max())

    return check
