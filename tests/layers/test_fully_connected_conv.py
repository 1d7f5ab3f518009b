import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D


@pytest.mark.parametrize("side, options", [
    (5, {}), (5, {"strides": 2, "use_bias": False}), (5, {"activation": "relu"}), (9, {}),
    (5, {"padding": "same"}), (5, {"groups": 2}), (9, {"dilation_rate": 2})])
@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-4), ("mixed_bfloat16", 3e-2)])
def test_values_and_gradients_are_those_of_keras(rng, as_keras, side, options, policy, tolerance):
    as_keras(*(kind(8, 5, dtype=policy, **options)
               for kind in (FullyConnectedConv2D, keras.layers.Conv2D)),
             tf.constant(rng.normal(size=(3, side, side, 4)).astype("float32")), tolerance)


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
