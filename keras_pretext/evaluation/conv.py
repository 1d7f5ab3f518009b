"""Convolutional probes: one more NIN block and a linear layer (Gidaris et al., 2018, Table 3)."""

import keras
from keras import layers

from keras_pretext.evaluation.probe import fan_out, finetune, run_probe
from keras_pretext.layers.batch_normalization import BatchNormalization

PROTOCOL = "gidaris2018-conv"


def _head(shape, classes, seed, name):
    stack = [keras.Input(shape)]
    for k, kernel in enumerate((3, 1, 1)):
        stack += [layers.Conv2D(192, kernel, padding="same", use_bias=False,
                                kernel_initializer=fan_out(seed + 100 * k)),
                  BatchNormalization(), layers.ReLU()]
    stack += [layers.GlobalAveragePooling2D(dtype="float32"),
              layers.Dense(classes, kernel_initializer=fan_out(seed + 300), dtype="float32")]
    return keras.Sequential(stack, name=name)


def conv(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, frozen=True, **options):
    """3x3, 1x1, 1x1 convolutions of 192 channels, global average pooling, a linear layer.

    The released code's schedule (learning rate 0.1, divided by 5 after 35, 70 and 85 of 100
    epochs) is scaled to `epochs`. With `frozen=False` the extractor is trained too (one tap).
    Args and result: see `run_probe` and `finetune`.
    """
    options = {"drops": (0.35, 0.7, 0.85), **options}
    if not frozen:
        return finetune(PROTOCOL, _head, model, train, test, taps, seeds, epochs, **options)
    return run_probe(PROTOCOL, _head, model, train, test, taps, seeds, epochs, **options)
