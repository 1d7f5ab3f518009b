"""Non-linear probes: an MLP on the flattened maps (Gidaris et al., 2018, section 3.1)."""

import keras
from keras import layers

from keras_pretext.evaluation.probe import fan_out, finetune, run_probe
from keras_pretext.layers.batch_normalization import BatchNormalization

PROTOCOL = "gidaris2018-nonlinear"


def _head(shape, classes, seed, name):
    hidden = min(20 * classes, 2048)
    stack = [keras.Input(shape), layers.Flatten()]
    for k in range(2):
        stack += [layers.Dense(hidden, use_bias=False, kernel_initializer=fan_out(seed + 100 * k)),
                  BatchNormalization(), layers.ReLU()]
    stack += [layers.Dense(classes, kernel_initializer=fan_out(seed + 200), dtype="float32")]
    return keras.Sequential(stack, name=name)


def nonlinear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, frozen=True, **options):
    """Two hidden layers of 20 units a class (200 for ten classes), each with BN and ReLU.

    The released code's schedule (learning rate 0.1, divided by 5 after 20, 40 and 45 of 50
    epochs) is scaled to `epochs`. With `frozen=False` the extractor is trained too (one tap).
    Args and result: see `run_probe` and `finetune`.
    """
    if not frozen:
        return finetune(PROTOCOL, _head, model, train, test, taps, seeds, epochs, **options)
    return run_probe(PROTOCOL, _head, model, train, test, taps, seeds, epochs, **options)
