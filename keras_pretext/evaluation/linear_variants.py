"""Linear probes as other papers than RotNet's do them: pooling, normalisation and schedule."""

import keras
from keras import layers, ops

from keras_pretext.evaluation.probe import fan_out, run_probe
from keras_pretext.layers.batch_normalization import BatchNormalization


def _head(norm):
    """A linear layer on flattened maps after normalisation: "plain", "affine" or None."""
    def make(shape, classes, seed, name):
        affine = norm == "affine"
        first = [BatchNormalization(center=affine, scale=affine, dtype="float32")] if norm else []
        return keras.Sequential([
            keras.Input(shape), *first, layers.Flatten(dtype="float32"),
            layers.Dense(classes, kernel_initializer=fan_out(seed), dtype="float32")], name=name)

    return make


def zhang_linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, **options):
    """`zhang2016-linear`: maps resized to at most 9600 features, BN without scale and shift.

    Zhang et al. (ECCV 2016), released code, whose numbers Gidaris et al. (2018) quote in their
    Tables 5 and 6: batch 256, learning rate 0.01, a tenth of it after 2/7 and 4/7 and 6/7 of the
    run (every 40,000 of 140,000 iterations), no Nesterov momentum. Sizes for their AlexNet: 10, 6,
    5, 5 and 6. That the resizing is bilinear is not confirmed; pictures are centrally framed and
    mirrored, not cropped at random. Args and result: see `run_probe`.
    """
    return run_probe("zhang2016-linear", _head("plain"), model, train, test, taps, seeds, epochs,
                     **{"pooling": "resize", "batch_size": 256, "learning_rate": 0.01,
                        "factor": 0.1, "drops": (2 / 7, 4 / 7, 6 / 7), "nesterov": False,
                        **options})


@keras.saving.register_keras_serializable(package="keras_pretext")
class InverseRootDecay(keras.optimizers.schedules.LearningRateSchedule):
    """`rate / sqrt(1 + rate * decay * scale * step)`, the released code's schedule."""

    def __init__(self, rate, decay, scale=1.0):
        self.rate, self.decay, self.scale = rate, decay, scale

    def __call__(self, step):
        step = ops.cast(step, "float32") * self.scale
        return self.rate / ops.sqrt(1.0 + self.rate * self.decay * step)

    def get_config(self):
        return {"rate": self.rate, "decay": self.decay, "scale": self.scale}


def deepcluster_linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, **options):
    """`deepcluster2018-linear`: average pooling in tiles, no normalisation.

    Caron et al. (ECCV 2018), released code: batch 256, learning rate 0.01 that falls with
    1 / sqrt(1 + 0.01 * 0.0001 * t) (0.0083 after the paper's 90 epochs of ImageNet; scaled to
    the steps of this run), decay 1e-4. The released test averages ten crops; here it is one
    central crop, as for all linear probes. Args and result: see `run_probe`.
    """
    used = options.get("indices")
    used = train.num_examples if used is None else len(used)
    count = options.get("epoch_size") or used
    options = {"batch_size": 256, **options}
    steps = epochs * max(1, count // min(options["batch_size"], count))
    rate = options.pop("learning_rate", 0.01)
    decay = options.setdefault("decay", 1e-4)
    paper = 90 * 1_281_167 / 256
    result = run_probe("deepcluster2018-linear", _head(None), model, train, test, taps, seeds,
                       epochs, **{"pooling": "tiled_avg", "drops": (), "nesterov": False,
                                  **options,
                                  "learning_rate": InverseRootDecay(rate, decay, paper / steps)})
    result.settings["learning_rate"] = rate
    return result


def revisiting_linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, **options):
    """`kolesnikov2019-linear`: max pooling to at most 9000 features, no normalisation.

    Kolesnikov, Zhai and Beyer ("Revisiting self-supervised visual representation learning", CVPR
    2019), released code: batch 512, learning rate 0.1 for 256 pictures, a tenth of it after 30 and
    50 of 70 epochs. A network whose task is of patches sees the nine tiles of the square, each of
    the patches' size (of 64 pixels in the code, of a square of 192), and the features of the tiles
    are averaged; `tiles=1` shows it the whole. The decay 1e-4 is not confirmed. Args and result:
    see `run_probe`.
    """
    side = getattr(getattr(model, "task", None), "patch_side", None)
    if options.setdefault("tiles", 3 if side else 1) > 1 and side:
        options = {"image_size": options["tiles"] * side, **options}
    batch = options.get("batch_size", 512)
    return run_probe("kolesnikov2019-linear", _head(None), model, train, test, taps, seeds, epochs,
                     **{"pooling": "adaptive_9000", "batch_size": batch,
                        "learning_rate": 0.1 * batch / 256, "factor": 0.1, "decay": 1e-4,
                        "drops": (30 / 70, 50 / 70), **options})


def goyal_linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, **options):
    """`goyal2019-linear`: overlapping average pooling, batch normalisation, one linear layer.

    Goyal et al. ("Scaling and benchmarking self-supervised visual representation learning", ICCV
    2019) as VISSL has it: batch 256, learning rate 0.01, a tenth of it after 8, 16 and 24 of 28
    epochs. Args and result: see `run_probe`.
    """
    return run_probe("goyal2019-linear", _head("affine"), model, train, test, taps, seeds, epochs,
                     **{"pooling": "strided_avg", "batch_size": 256, "learning_rate": 0.01,
                        "factor": 0.1, "drops": (8 / 28, 16 / 28, 24 / 28), **options})
