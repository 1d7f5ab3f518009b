"""Non-linear probes: a network frozen up to a tap, the rest trained anew (Noroozi & Favaro, 2016).
"""

import math

import keras
from keras import layers

from keras_pretext.backbones.alexnet import FLAVOURS, AlexNet
from keras_pretext.backbones.base import backbone_of
from keras_pretext.evaluation.features import check_taps, size_for
from keras_pretext.evaluation.probe import fan_out, run_probe, seed_dropout
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D

PROTOCOL = "noroozi2016-nonlinear"


def fresh_weights(model, seed):
    """N(0, sqrt(2 / fan_out)) for every kernel of a model (Gidaris et al., released code).

    Kernels and dropout are told by the seed alone. Of a fully connected layer the fan-out is its
    units, though it is a convolution here.
    """
    for k, layer in enumerate(model.layers):
        if isinstance(layer, FullyConnectedConv2D):
            *inputs, units = layer.kernel.shape
            values = fan_out(seed + 1000 * k)((math.prod(inputs), units))
            layer.kernel.assign(keras.ops.reshape(values, layer.kernel.shape))
        elif hasattr(layer, "kernel"):
            layer.kernel.assign(fan_out(seed + 1000 * k)(layer.kernel.shape))
    seed_dropout(model, seed)


def _head(config, kind, tap):
    """A maker of what follows a tap: the rest of a fresh network, and a linear classifier."""
    def make(shape, classes, seed, name):
        fresh = kind.from_config(config)
        last = list(fresh.taps)[-1]
        maps = inputs = keras.Input(shape)
        if last != tap:
            rest = keras.Model(fresh.output[tap], fresh.output[last])
            fresh_weights(rest, seed)
            maps = rest(inputs)
        connected = last.startswith("fc")
        vector = (layers.Flatten() if connected
                  else layers.GlobalAveragePooling2D(dtype="float32"))(maps)
        logits = layers.Dense(classes, kernel_initializer=fan_out(seed), dtype="float32")(vector)
        return keras.Model(inputs, logits, name=name)

    return make


def retrain(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, fc_units=None, **options):
    """Everything after a tap is trained from random weights, the same architecture as before.

    Noroozi and Favaro (ECCV 2016, section 4.1; Gidaris et al., 2018, Table 4): for AlexNet the
    convolutions and pooling after the tap, two fully connected layers and the classifier. Where
    the backbone ends in a map (Network-in-Network) its mean goes to the classifier. Frozen layers
    stay in evaluation mode; their features are computed once, so pictures are centrally framed
    and mirrored, not cropped at random. A dilated fc6 (flavour "colorization") becomes one that
    covers pool5. By default batches of 192, a learning rate of 0.01, divided by 5 after 1/4, 1/2
    and 3/4 of the epochs (Gidaris et al., released code: of 40).

    Args:
        taps: what is frozen ends at each of these; all of conv1 ... conv5 by default (all taps
            where there are none of these names).
        fc_units: widths of AlexNet's fully connected layers; by default the backbone's own, or
            (4096, 4096) where it has none.

    Result and other args: see `run_probe`.

    Raises:
        ValueError: for an unknown tap, one that is fully connected already included.
    """
    backbone = backbone_of(model)
    if taps is None:
        taps = [tap for tap in backbone.taps if tap.startswith("conv")] or None
    taps = check_taps(backbone, taps)
    late = [tap for tap in taps if tap.startswith("fc")]
    if late:
        raise ValueError("this protocol freezes up to a convolution and trains the fully "
                         f"connected layers. Received: {late}")
    config = backbone.get_config()
    size = size_for(model, train, options.pop("image_size", None))
    if isinstance(backbone, AlexNet):
        config.update(fc_units=fc_units or backbone.fc_units or (4096, 4096), image_size=size)
        if FLAVOURS[backbone.flavour].fc6:
            config["caffe_fc"] = True
    elif fc_units is not None:
        raise ValueError("only AlexNet takes fc_units. "
                         f"Received: {fc_units!r} with {backbone.name}")
    options = {"batch_size": 192, "learning_rate": 0.01, "drops": (0.25, 0.5, 0.75), **options}
    heads = {tap: _head(config, type(backbone), tap) for tap in taps}
    result = run_probe(PROTOCOL, heads, model, train, test, taps, seeds, epochs,
                       image_size=size, **options)
    if "fc_units" in config:
        result.settings["fc_units"] = list(config["fc_units"])
    return result
