"""Linear probes of every tap (Gidaris et al., 2018, section 3.2; released code)."""

import keras
from keras import layers

from keras_pretext.evaluation.probe import fan_out, finetune, run_probe
from keras_pretext.layers.batch_normalization import BatchNormalization

PROTOCOL = "gidaris2018-linear"


def _head(shape, classes, seed, name):
    return keras.Sequential([
        keras.Input(shape), BatchNormalization(center=False, scale=False, dtype="float32"),
        layers.Flatten(dtype="float32"),
        layers.Dense(classes, kernel_initializer=fan_out(seed), dtype="float32")], name=name)


def linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, frozen=True, **options):
    """Adaptive max pooling, batch normalisation without scale and shift, one linear layer.

    The paper's schedule (35 epochs, batch 192, learning rate 0.01, divided by 5 after 5, 15 and
    25) is scaled to `epochs`. With `frozen=False` the extractor is trained too (one tap).
    Args and result: see `run_probe` and `finetune`.
    """
    options = {"learning_rate": 0.01, "drops": (5 / 35, 15 / 35, 25 / 35), "batch_size": 192,
               "pooling": "adaptive", **options}
    train_heads = run_probe if frozen else finetune
    return train_heads(PROTOCOL, _head, model, train, test, taps, seeds, epochs, **options)
