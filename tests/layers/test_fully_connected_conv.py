import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D


@pytest.mark.parametrize("side, options", [
    (5, {}), (5, {"strides": 2, "use_bias": False}), (5, {"activation": "relu"}), (9, {}),
    (5, {"padding": "same"}), (5, {"groups": 2}), (9, {"dilation_rate": 2})])
@pytest.mark.parametrize("policy, rtol", [("float32", 1e-4), ("mixed_bfloat16", 3e-2)])
def test_values_and_gradients_are_those_of_keras(rng, side, options, policy, rtol):
    ours, theirs = (kind(8, 5, dtype=policy, **options)
                    for kind in (FullyConnectedConv2D, keras.layers.Conv2D))
    x = tf.constant(rng.normal(size=(3, side, side, 4)).astype("float32"))
    theirs.build(x.shape)
    ours.build(x.shape)
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
        a, b = (np.asarray(tf.cast(z, "float32")) for z in (a, b))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * abs(b).max())


def test_it_is_a_product_where_the_kernel_is_the_map_and_a_convolution_elsewhere(rng):
    layer = FullyConnectedConv2D(8, 4)
    layer.build((None, None, None, 3))

    def kinds(side, batch=2):
        graph = tf.function(layer).get_concrete_function(tf.TensorSpec((batch, side, side, 3)))
        return {op.type for op in graph.graph.get_operations()} & {"MatMul", "Conv2D"}

    assert kinds(4) == kinds(4, None) == {"MatMul"} and kinds(6) == kinds(None) == {"Conv2D"}


@pytest.mark.parametrize("name, options, label", [
    ("exemplar_cnn", {"image_size": 16, "network": "64c5-64c5-128f"}, "fc"),
    ("alexnet", {"image_size": 64, "fc_units": (32, 32)}, "fc7"),
    ("context_encoder", {"channels": (8, 8), "bottleneck": 8}, "bottleneck"),
    ("vgg", {"image_size": 64, "fc_units": (32,), "depth": 16}, "fc6")])
def test_the_backbones_fully_connected_layers_are_such(name, options, label):
    layer = backbones.get(name, **options).get_layer(label)
    assert isinstance(layer, FullyConnectedConv2D)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 4)), FullyConnectedConv2D(6, 3)])
    x, larger = (rng.normal(size=(2, side, side, 4)).astype("float32") for side in (3, 5))
    answer = model(x)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), answer, atol=1e-6)
    np.testing.assert_allclose(again(larger)[:, :1, :1], model(larger[:, :3, :3]), atol=1e-5)
