"""The fused layer is Keras' own, only faster."""

import keras
import numpy as np
import pytest

from keras_pretext.layers.batch_normalization import BatchNormalization


def pair(**options):
    options = {"momentum": 0.9, "epsilon": 1e-5, **options}
    ours, stock = BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    for layer in (ours, stock):
        layer.build((None, None, None, 6))
    start = [np.linspace(0.5, 2, 6) + k for k in range(len(ours.get_weights()))]
    ours.set_weights(start)
    stock.set_weights(ours.get_weights())
    return ours, stock


@pytest.fixture
def x(rng):
    return (rng.normal(3, 2, (4, 5, 7, 6)) * np.linspace(0.2, 5, 6)).astype("float32")


@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}, {"scale": False}])
@pytest.mark.parametrize("training", [True, False])
def test_output_gradient_and_statistics_equal_stock(x, options, training, rng):
    import tensorflow as tf

    ours, stock = pair(**options)
    weight = rng.normal(size=x.shape).astype("float32")
    results = []
    for layer in (ours, stock):
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            y = layer(tensor, training=training)
            loss = tf.reduce_sum(tf.sin(y) * weight)
        sources = [tensor, *[v.value for v in layer.trainable_variables]]
        results.append([y, *tape.gradient(loss, sources), *layer.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_statistics_after_many_steps_and_a_single_position(rng):
    ours, stock = pair()
    for _ in range(20):
        batch = rng.normal(2, 3, (3, 1, 1, 6)).astype("float32")  # biased and unbiased differ most
        ours(batch, training=True), stock(batch, training=True)
    for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_frozen_it_uses_the_running_statistics_and_leaves_them(x):
    ours, stock = pair()
    ours.trainable = stock.trainable = False
    before = ours.get_weights()
    np.testing.assert_allclose(ours(x, training=True), stock(x, training=True), rtol=1e-4,
                               atol=1e-4)
    for a, b in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bfloat16_maps_keep_float32_statistics(x):
    ours, stock = pair(dtype="mixed_bfloat16")
    a, b = ours(x, training=True), stock(x, training=True)
    assert str(a.dtype).find("bfloat16") >= 0
    np.testing.assert_allclose(np.asarray(a, "float32"), np.asarray(b, "float32"), atol=0.08)
    assert all(w.dtype == np.float32 for w in ours.get_weights())
    np.testing.assert_allclose(ours.get_weights()[-1], stock.get_weights()[-1], rtol=1e-2)


def test_other_shapes_go_to_the_parent(rng):
    ours, stock = BatchNormalization(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    flat = rng.normal(size=(8, 6)).astype("float32")
    np.testing.assert_allclose(ours(flat, training=True), stock(flat, training=True), atol=1e-5)


def test_a_file_of_one_loads_into_the_other(x, tmp_path):
    def model(kind):
        return keras.Sequential([keras.Input((None, None, 6)),
                                 kind(momentum=0.9, epsilon=1e-5, name="bn")])

    ours, stock = model(BatchNormalization), model(keras.layers.BatchNormalization)
    ours.layers[0].set_weights([np.linspace(0.5, 2, 6) + k for k in range(4)])
    ours.save_weights(tmp_path / "a.weights.h5")
    stock.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(ours(x), stock(x), rtol=1e-4, atol=1e-4)
