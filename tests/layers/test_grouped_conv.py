import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.layers.grouped_conv import GroupedConv2D


@pytest.mark.parametrize("options", [
    {"groups": 2, "strides": 2}, {"groups": 4, "padding": "same"},
    {"groups": 2, "dilation_rate": 2, "use_bias": False, "activation": "relu"}, {"groups": 1}])
def test_values_and_gradients_are_those_of_keras(rng, options):
    ours, theirs = GroupedConv2D(8, 3, **options), keras.layers.Conv2D(8, 3, **options)
    x = tf.constant(rng.normal(size=(3, 9, 11, 4)).astype("float32"))
    theirs.build(x.shape)
    ours.build(x.shape)
    weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    found = []
    for layer in (ours, theirs):
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * tf.cos(y))
        found.append([y, *tape.gradient(loss, [x, *[w.value for w in layer.weights]])])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 4)), GroupedConv2D(6, 3, groups=2)])
    x = rng.normal(size=(2, 6, 6, 4)).astype("float32")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    assert again.layers[-1].groups == 2
