"""Linear probes of every tap (Gidaris et al., 2018, section 3.2; released code)."""

import keras
from keras import layers

from keras_pretext.evaluation.probe import fan_out, run_probe
from keras_pretext.layers.batch_normalization import BatchNormalization

PROTOCOL = "gidaris2018-linear"


def linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, **options):
    """Adaptive max pooling, batch normalisation without scale and shift, one linear layer.

    The paper's schedule (35 epochs, batch 192, learning rate 0.01, divided by 5 after 5, 15 and
    25) is scaled to `epochs`. Args and result: see `run_probe`.
    """
    def head(shape, classes, seed, name):
        return keras.Sequential([
            keras.Input(shape), BatchNormalization(center=False, scale=False, dtype="float32"),
            layers.Flatten(),
            layers.Dense(classes, kernel_initializer=fan_out(seed), dtype="float32")], name=name)

    options = {"learning_rate": 0.01, "drops": (5 / 35, 15 / 35, 25 / 35), "batch_size": 192,
               **options}
    return run_probe(PROTOCOL, head, model, train, test, taps, seeds, epochs, pooling="adaptive",
                     **options)
