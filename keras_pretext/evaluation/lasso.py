"""A linear probe on a sparse mixture of a trunk's units (Doersch and Zisserman, ICCV 2017)."""

import keras
from keras import layers

from keras_pretext.backbones.base import backbone_of
from keras_pretext.backbones.resnet import Units
from keras_pretext.evaluation.probe import fan_out, run_probe
from keras_pretext.layers.lasso_mixing import LassoMixing

PROTOCOL = "doersch2017-lasso"


def lasso(model, train, test, taps=None, penalty=0.01, seeds=(0, 1, 2), epochs=10, **options):
    """"Eval lasso": the units of the last block, averaged over their maps, a mixture, one layer.

    The mixture's weights are learnt with the classifier, at an L1 `penalty`, see `LassoMixing`.
    (What the paper's probe averages and its schedule could not be confirmed; the paper reports
    top-5, this accuracy.) Other args and result: see `run_probe`; the tap is called `units`.

    Raises:
        ValueError: for a backbone without residual units, or `taps` other than "units".
    """
    if taps not in (None, "units", ["units"]):
        raise ValueError(f"this protocol mixes the last block's units. Received: taps={taps!r}")
    trunk = Units(backbone_of(model))
    count = trunk.count

    def head(shape, classes, seed, name):
        inputs = keras.Input(shape)
        parts = layers.Reshape((count, -1), dtype="float32")(inputs)
        x = LassoMixing(penalty, dtype="float32")([parts[:, k] for k in range(count)])
        x = layers.Dense(classes, kernel_initializer=fan_out(seed), dtype="float32")(x)
        return keras.Model(inputs, x, name=name)

    image_size = getattr(getattr(model, "task", None), "image_size", None)
    options = {"learning_rate": 0.01, "drops": (5 / 35, 15 / 35, 25 / 35), "batch_size": 192,
               "pooling": "avg", "image_size": image_size, **options}
    result = run_probe(PROTOCOL, head, trunk, train, test, ["units"], seeds, epochs, **options)
    result.settings["penalty"] = penalty
    return result
