import keras
import numpy as np
import pytest
from keras import ops

from keras_pretext.image import color_codes
from keras_pretext.image.color import AB_BINS
from keras_pretext.losses.colorization import (
    ColorAccuracy,
    ColorCrossentropy,
    ColorDistance,
    ColorRegression,
    sparse_crossentropy,
)


@pytest.fixture
def codes(rng):
    """Of three examples 4 by 3, the second without any colour, some pixels of the third too."""
    ab = rng.uniform(-80, 80, (3, 4, 3, 2)).astype("float32")
    found = np.asarray(color_codes.to_codes(ab)).copy()
    found[1] = -1
    found[2, 0] = -1
    return found


def dense_targets(codes, neighbours):
    out = np.zeros((*codes.shape, 313), "float32")
    indices, shares = (np.asarray(x) for x in color_codes.soft_encoding(codes, neighbours))
    np.put_along_axis(out, indices, shares, -1)
    return out


def dense_loss(codes, targets, logits, weights):
    """Equations 2 to 4 written out, with targets as wide as the logits."""
    cost = -ops.sum(targets * ops.log_softmax(logits), -1)
    known = (codes >= 0).astype("float32")
    weight = known * weights[targets.argmax(-1)]
    return ops.mean(ops.sum(cost * weight, (1, 2)) / np.maximum(known.sum((1, 2)), 1))


@pytest.mark.parametrize("neighbours", [1, 5, 10])
def test_value_and_gradient_are_those_of_dense_targets(codes, rng, neighbours):
    import tensorflow as tf

    logits = tf.constant(rng.normal(size=(3, 4, 3, 313)).astype("float32") * 2)
    weights = rng.uniform(0.5, 3, 313).astype("float32")
    ours, targets = ColorCrossentropy(weights, neighbours), dense_targets(codes, neighbours)
    for compiled in (False, True):
        def both(logits):
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(logits)
                values = ours(codes, logits), dense_loss(codes, targets, logits, weights)
            return values, [tape.gradient(value, logits) for value in values]

        values, gradients = (tf.function(both, jit_compile=True) if compiled else both)(logits)
        assert float(values[0]) == pytest.approx(float(values[1]), rel=1e-5)
        np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-7)
        assert abs(np.asarray(gradients[0])).max() > 1e-4
        assert (np.asarray(gradients[0])[1] == 0).all()


def test_by_hand():
    """Two pixels, the nearest bin only: log 313 each, of which the weight of their bins."""
    weights = np.ones(313)
    weights[7], weights[100] = 3.0, 0.5
    codes = np.asarray(color_codes.to_codes(AB_BINS[[7, 100]]))[None, None]
    loss = ColorCrossentropy(weights, neighbours=1)
    assert float(loss(codes, np.zeros((1, 1, 2, 313), "float32"))) == pytest.approx(
        1.75 * np.log(313), rel=1e-5)
    logits = np.zeros((1, 1, 2, 313), "float32")
    logits[0, 0, 0, 7] = 50  # sure and right
    assert float(loss(codes, logits)) == pytest.approx(0.25 * np.log(313), rel=1e-5)


def test_jax_gives_the_same(codes, rng, tmp_path):
    import os
    import subprocess
    import sys

    logits = rng.normal(size=(3, 4, 3, 313)).astype("float32")
    np.savez(tmp_path / "in.npz", codes=codes, logits=logits)
    program = f"""
import jax, numpy as np
from keras_pretext.losses.colorization import ColorCrossentropy
x = np.load({str(tmp_path / 'in.npz')!r})
loss = ColorCrossentropy()
value, gradient = jax.jit(jax.value_and_grad(lambda y, t: loss(t, y)))(x["logits"], x["codes"])
np.savez({str(tmp_path / 'out.npz')!r}, value=value, gradient=gradient)
"""
    subprocess.run([sys.executable, "-c", program], check=True,
                   env={**os.environ, "KERAS_BACKEND": "jax"})
    import tensorflow as tf

    given = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = ColorCrossentropy()(codes, given)
    found = np.load(tmp_path / "out.npz")
    assert float(found["value"]) == pytest.approx(float(value), rel=1e-5)
    np.testing.assert_allclose(found["gradient"], tape.gradient(value, given), atol=1e-7)


def test_nothing_to_answer_and_sure_answers_are_finite(codes):
    assert float(ColorCrossentropy()(np.full((2, 3, 3), -1), np.zeros((2, 3, 3, 313)))) == 0.0
    assert float(ColorRegression()(np.full((2, 3, 3), -1), np.zeros((2, 3, 3, 2)))) == 0.0
    logits = np.full((3, 4, 3, 313), -1e4, "float32")
    logits[..., 0] = 1e4
    assert np.isfinite(float(ColorCrossentropy()(codes, logits)))


def test_regression_and_its_distance(codes, rng):
    answers = rng.normal(size=(3, 4, 3, 2)).astype("float32")
    ab = np.asarray(color_codes.from_codes(codes))
    costs = 0.5 * ((ab / 50 - answers) ** 2).sum(-1)
    expected = (costs[0].mean() + costs[2, 1:].mean()) / 3
    assert float(ColorRegression()(codes, answers)) == pytest.approx(expected, rel=1e-5)
    metric = ColorDistance()
    metric.update_state(codes, answers)
    away = np.sqrt(((ab - 50 * answers) ** 2).sum(-1))[codes >= 0]
    assert float(metric.result()) == pytest.approx(away.mean(), rel=1e-5)


def test_accuracy_is_of_the_nearest_bin(codes, rng):
    logits = rng.normal(size=(3, 4, 3, 313)).astype("float32")
    nearest = dense_targets(codes, 1).argmax(-1)
    logits[0, :, 0, :] = 100 * np.eye(313)[nearest[0, :, 0]]
    metric = ColorAccuracy()
    metric.update_state(codes, logits)
    right = (logits.argmax(-1) == nearest)[codes >= 0]
    assert right.sum() >= 4 and float(metric.result()) == pytest.approx(right.mean())


def test_a_loss_is_its_config():
    loss = ColorCrossentropy(np.linspace(1, 2, 313), neighbours=3)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config() and again.neighbours == 3
    with pytest.raises(ValueError, match=r"\(313,\).*Received: shape \(5,\)"):
        ColorCrossentropy(np.ones(5))


def test_sparse_crossentropy_of_any_shape(rng):
    logits = rng.normal(size=(2, 7)).astype("float32")
    indices, shares = np.array([[1, 4], [0, 6]], "int32"), np.array([[0.7, 0.3], [0.5, 0.5]])
    targets = np.zeros((2, 7))
    np.put_along_axis(targets, indices, shares, -1)
    expected = -(targets * (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))).sum(-1)
    found = sparse_crossentropy(logits, indices, shares.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
