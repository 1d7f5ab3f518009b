"""A backbone for serving: batch norms inside the convolutions before them, weights as constants."""

import keras
import numpy as np
from keras import layers


def folded(backbone):
    """A copy of a functional model without the batch norms that directly follow a convolution.

    `gamma * (conv(x) - mean) / sqrt(variance + epsilon) + beta` is a convolution too, with a bias;
    what it answers differs by rounding alone. Batch norms anywhere else stay. The weights of
    convolutions that compute in bfloat16 are stored so.

    Args:
        backbone: a functional keras.Model; it is not changed.

    Returns:
        a functional keras.Model with the same inputs and outputs.
    """
    pairs = dict(_pairs(backbone))  # of names: convolution to batch norm
    inner = set(pairs.values())

    def clone(layer):
        config = layer.get_config()
        if layer.name in pairs:
            config["use_bias"] = True
        if isinstance(layer, layers.Conv2D) and layer.compute_dtype == "bfloat16":
            config["dtype"] = "bfloat16"
        return type(layer).from_config(config)

    def call(layer, *inputs, **options):
        return inputs[0] if layer.name in inner else layer(*inputs, **options)

    model = keras.models.clone_model(keras.Model(backbone.input, backbone.output),
                                     clone_function=clone, call_function=call)
    for layer in model.layers:
        if not layer.weights:
            continue
        old = backbone.get_layer(layer.name)
        if layer.name in pairs:
            layer.set_weights(_with_norm(old, backbone.get_layer(pairs[layer.name])))
        else:
            layer.set_weights(old.get_weights())
    return model


def constant(model):
    """A function from images to what a model answers, whose weights are constants of its graph.

    A CPU kernel prepares a weight once where it is a constant, and at each request where it is a
    variable or is cast before. For use inside a `tf.function`.
    """
    import tensorflow as tf

    def run(images):
        with tf.init_scope():
            groups = [[keras.ops.convert_to_numpy(w) for w in group] for group in
                      (model.trainable_variables, model.non_trainable_variables)]
        return model.stateless_call(*([tf.constant(n) for n in group] for group in groups),
                                    images, training=False)[0]

    return run


def _pairs(backbone):
    """Names of each convolution and of the batch norm that alone reads it."""
    results = {id(x) for x in keras.tree.flatten(backbone.output)}
    for layer in backbone.layers:
        if not isinstance(layer, layers.Conv2D) or layer.activation is not keras.activations.linear:
            continue
        if len(layer._inbound_nodes) != 1 or id(layer.output) in results:
            continue
        readers = [node.operation for node in layer._outbound_nodes]
        if (len(readers) == 1 and isinstance(readers[0], layers.BatchNormalization)
                and len(readers[0]._inbound_nodes) == 1
                and readers[0].axis in (-1, len(layer.output.shape) - 1)):
            yield layer.name, readers[0].name


def _with_norm(conv, norm):
    """Kernel and bias of a convolution and the batch norm after it, reckoned in float64."""
    def of(weight, default):
        value = default if weight is None else keras.ops.convert_to_numpy(weight)
        return np.asarray(value, "float64")

    scale = of(norm.gamma, 1.0) / np.sqrt(of(norm.moving_variance, 1.0) + norm.epsilon)
    bias = of(norm.beta, 0.0) + (of(conv.bias, 0.0) - of(norm.moving_mean, 0.0)) * scale
    return [(of(conv.kernel, 0.0) * scale).astype("float32"), bias.astype("float32")]
