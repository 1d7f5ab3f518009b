"""Fully convolutional networks on a trunk (Long, Shelhamer & Darrell, CVPR 2015; released code).

What segmentation, surface normals and depth share: pictures padded by 100 pixels, fully connected
layers as convolutions, scores brought to the pictures' pixels by a fixed bilinear upsampling.
"""

import inspect

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.backbones.base import backbone_of
from keras_pretext.backbones.receptive import receptive_field
from keras_pretext.backbones.vgg import VGG
from keras_pretext.data import draws
from keras_pretext.data import pipeline as pipelines
from keras_pretext.evaluation.features import (
    check_taps,
    first_pictures,
    weights_digest,
)
from keras_pretext.evaluation.optimizer import caffe_optimizer
from keras_pretext.evaluation.probe import ProbeResult, keep_weights, seed_dropout
from keras_pretext.evaluation.rescale import absorb_batch_norm, rescale
from keras_pretext.registry import unknown_name
from keras_pretext.training.precision import precision, quicker

PAD = 100  # pixels on every side, what the first convolution pads included
_LARGE = 4096  # the side of a picture that every tap has features of
# FCN-32s (VGG) and FCN-AlexNet (all others)
VGG_SCHEDULE = {"batch_size": 1, "learning_rate": 1e-10, "momentum": 0.99, "normalize": False}
SCHEDULE = {"batch_size": 20, "learning_rate": 1e-4, "momentum": 0.9, "normalize": True}


def geometry(backbone, tap):
    """`(stride, offset)`: feature k of a tap looks at pixels around `stride * k + offset`.

    Raises:
        ValueError: for a backbone of which it cannot be told; see `receptive_field`.
    """
    field = receptive_field(backbone, tap, _LARGE)
    return field.stride, field.centre


def upsampling(fine, coarse, stride, offset):
    """The matrix `(fine, coarse)` that brings one side of the scores to the pixels, float32.

    The fixed transposed convolution of the paper, whose kernel of 2 * stride pixels falls
    linearly to zero, and its crop: pixel i gets `1 - |i - (stride * k + offset)| / stride` of
    score k. For CaffeNet and VGG-16 with padding 100 that is the released crop from pixel 18 and
    19 on. Before the first score, `offset` pixels, it fades, as there.
    """
    pixels = ops.cast(ops.arange(fine), "float32")[:, None]
    centres = ops.cast(ops.arange(coarse), "float32")[None] * stride + offset
    return ops.maximum(0.0, 1.0 - ops.abs(pixels - centres) / stride)


def caffe_copy(backbone, connected, seed):
    """A copy of a backbone with its weights, its dropout told by `seed`.

    Args:
        connected: its own fully connected layers are trained on: those of an AlexNet or a VGG
            become Caffe's (`caffe_fc`).

    Raises:
        ValueError: where they do not fit: fc6 does not cover a pool5 of stride 2.
    """
    config = backbone.get_config()
    if connected and hasattr(backbone, "caffe_fc"):
        config["caffe_fc"] = True
    copy = type(backbone).from_config(config)
    weighted = ([x for x in net.layers if x.weights] for net in (copy, backbone))
    for layer, former in zip(*weighted, strict=True):
        keep_weights(layer, former, backbone)
    seed_dropout(copy, seed)
    return copy


class FCN:
    """A copy of a trunk, and a 1x1 convolution that gives every pixel `outputs` numbers.

    Args:
        backbone: a Backbone; the copy has its weights. Batch normalisation stays as it is. The
            fully connected layers of an AlexNet or a VGG, where the tap is one, become Caffe's.
        tap: what the head sits on; the last by default.
        outputs: how many numbers a pixel gets. They start at zero, as in the released code.
        fc_units: widths of fully connected layers between tap and scores, from random weights;
            () for none.
        fc_kernel: side of the first of them, in features.
        dropout: after each of them, and after a tap that is fully connected.

    Attributes:
        model: keras.Model from pictures `(batch, H, W, 3)` to coarse scores.
        stride, offset: score k looks at pixels around `stride * k + offset`.

    Raises:
        ValueError: for an unknown tap, or where the scores do not reach the pictures' corners.
    """

    def __init__(self, backbone, tap, outputs, fc_units=(), fc_kernel=6, dropout=0.5, seed=0):
        self.tap, = check_taps(backbone, tap or list(backbone.taps)[-1])
        connected = self.tap.startswith("fc")
        copy = caffe_copy(backbone, connected, seed)
        trunk = copy.extractor(self.tap)
        for layer in trunk.layers:  # statistics of one or a few pictures are none
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        self.stride, self.offset = geometry(copy, self.tap)
        margin = max(0, PAD - first_padding(trunk))
        mean = np.float32(getattr(copy, "mean", (0.0, 0.0, 0.0)))
        images = keras.Input((None, None, 3), name="images")
        x = layers.Rescaling(1.0, -mean, dtype="float32")(images)
        # some more at the end, for networks that round sizes down
        x = layers.ZeroPadding2D(((margin, margin + self.stride),) * 2, dtype="float32")(x)
        x = layers.Rescaling(1.0, mean, dtype="float32")(x)  # the margin is the mean colour
        x = trunk(x)
        self.offset -= margin
        if connected:
            x = layers.Dropout(dropout, seed=seed, name=f"drop_{self.tap}")(x)
        for k, units in enumerate(fc_units, 6):
            kernel = fc_kernel if k == 6 else 1
            self.offset += self.stride * (kernel - 1) / 2
            x = layers.Conv2D(units, kernel, activation="relu", name=f"fc{k}",
                              kernel_initializer=keras.initializers.HeNormal(seed + k))(x)
            x = layers.Dropout(dropout, seed=seed + k, name=f"drop{k}")(x)
        scores = layers.Conv2D(outputs, 1, kernel_initializer="zeros", name="score",
                               dtype="float32")(x)
        self.model = keras.Model(images, scores)
        if not self.offset < self.stride:
            raise ValueError("a fully convolutional network's scores reach the corners of the "
                             f"pictures: with tap {self.tap!r} and an fc_kernel of {fc_kernel} "
                             f"they begin at pixel {self.offset:g}, a stride is {self.stride}. "
                             f"Received: {backbone.name}")

    def __call__(self, images, training=False):
        """Scores of every pixel, float32 `(batch, H, W, outputs)`."""
        coarse = self.model(images, training=training)
        rows, columns = (upsampling(ops.shape(images)[k], ops.shape(coarse)[k], self.stride,
                                    self.offset) for k in (1, 2))
        return ops.einsum("yh,bhwc,xw->byxc", rows, coarse, columns)


def first_padding(trunk):
    """By how many pixels the first convolution of a trunk pads."""
    for layer in trunk.layers:
        if isinstance(layer, layers.ZeroPadding2D):
            return layer.padding[0][0]
        if isinstance(layer, layers.Conv2D):
            return layer.kernel_size[0] // 2 if layer.padding == "same" else 0
    return 0


def padded_batch(pictures, targets, fill):
    """Pictures and targets of any size to the largest of them; `fill` is what targets get."""
    height, width = (max(x.shape[k] for x in pictures) for k in (0, 1))

    def pad(x, value):
        room = [(0, height - x.shape[0]), (0, width - x.shape[1]), *[(0, 0)] * (x.ndim - 2)]
        return np.pad(x, room, constant_values=value)

    return np.stack([pad(x, 128) for x in pictures]), np.stack([pad(x, fill) for x in targets])


def check_dense(train, test, kind):
    """Raises ValueError where a split has no such labels, or of another size than its pictures."""
    for role, source in (("training", train), ("test", test)):
        if kind not in source.dense:
            raise ValueError(f"this protocol needs data with {kind} of every pixel; the {role} "
                             f"split has none. Received: {source.name!r}, split {source.split!r}")
        for k in range(source.num_examples):
            found, size = source.pixels(kind, k).shape[:2], tuple(source.size(k))
            if tuple(found) != size:
                raise ValueError(f"the {kind} of a picture has its size, {size}. Received: "
                                 f"{tuple(found)} of picture {k} of {source.name!r}, split "
                                 f"{source.split!r}")


def check_options(options):
    """Raises ValueError for what is no option of `run_fcn`."""
    takes = inspect.signature(run_fcn).parameters.values()
    known = [x.name for x in takes if x.default is not x.empty]
    for name in options:
        if name not in known:
            raise ValueError(unknown_name("option of this protocol", name, known))


def run_fcn(protocol, metric, model, train, test, outputs, target, fill, loss, score, taps=None,
            iterations=100_000, batch_size=None, learning_rate=None, momentum=None, decay=5e-4,
            normalize=None, drops=(), flip=False, fc_units=None, fc_kernel=None, rescaled=True,
            seeds=(0,), dtype=None, report=None):
    """Trains an `FCN` on whole pictures and measures it. Options are those of the protocols.

    Args:
        target: `target(k, mirrored)` gives what is known of the pixels of training picture k.
        fill: what a target has where a smaller picture of a batch has no pixel.
        loss: `loss(targets, scores)` gives `(losses, counts)`, both `(batch, H, W)`: of each pixel
            and 1 where it counts.
        score: `score(answers)` gives `(number, details)`; `answers(decode)` yields
            `(k, decode(scores))` for every test picture.
        dtype: a dtype policy; by default the quicker of bfloat16 and float32 on this machine.

    Returns:
        ProbeResult with one entry, the tap.
    """
    backbone = backbone_of(model)
    usual = VGG_SCHEDULE if isinstance(backbone, VGG) else SCHEDULE
    given = {"batch_size": batch_size, "learning_rate": learning_rate, "momentum": momentum,
             "normalize": normalize}
    given = {name: usual[name] if value is None else value for name, value in given.items()}
    if min(iterations, given["batch_size"]) < 1 or not seeds:
        raise ValueError("iterations, batch_size and the number of seeds are at least 1. Received: "
                         f"{iterations}, {given['batch_size']}, {len(seeds)}")
    tap = (taps if isinstance(taps, str) else taps[0]) if taps else list(backbone.taps)[-1]
    tap, = check_taps(backbone, tap)
    if fc_units is None:
        fc_units = () if tap.startswith("fc") else (4096, 4096)
    fc_kernel = fc_kernel or (7 if isinstance(backbone, VGG) else 6)
    FCN(backbone, tap, 1, [1] * len(fc_units), fc_kernel)  # is there such a network?
    dtype = dtype or quicker()
    settings = {"train": f"{train.name}/{train.split}", "test": f"{test.name}/{test.split}",
                "train_images": train.num_examples, "train_fingerprint": train.fingerprint()[:16],
                "backbone": backbone.name, "weights": weights_digest(backbone)[:16],
                "iterations": iterations, **given, "decay": decay, "drops": list(drops),
                "flip": flip, "fc_units": list(fc_units), "fc_kernel": fc_kernel,
                "rescaled": rescaled, "seeds": [int(seed) for seed in seeds], "dtype": dtype}
    if rescaled:
        size = getattr(backbone, "image_size", None) or 227
        backbone = absorb_batch_norm(backbone)
        settings["rescale"] = rescale(backbone, first_pictures(train, size))
    scores, details = [], []
    for seed in seeds:
        with precision(dtype):
            net = FCN(backbone, tap, outputs, fc_units, fc_kernel, seed=seed)
        _train(net, train, target, loss, fill, iterations, decay=decay, drops=drops, flip=flip,
               seed=seed, report=report, **given)
        number, found = score(lambda decode, net=net: _answers(net, test, decode))
        scores.append(number)
        details.append({"seed": int(seed), **found})
    return ProbeResult(protocol, {tap: {"last": scores, "best": scores}}, settings, metric=metric,
                       details={tap: details})


def _train(net, source, target, loss, fill, iterations, batch_size, learning_rate, momentum,
           normalize, decay, drops, flip, seed, report):
    """SGD over whole pictures. The loss of a picture is the mean over its pixels that count
    (`normalize`) or their sum; of a batch the mean over its pictures."""
    import tensorflow as tf

    variables = net.model.trainable_variables
    optimizer = caffe_optimizer(variables, iterations, learning_rate, momentum, drops, decay)

    @tf.function(reduce_retracing=True)
    def step(images, targets):
        with tf.GradientTape() as tape:
            losses, counts = loss(targets, net(images, training=True))
            value = tf.reduce_sum(losses * counts, (1, 2))
            if normalize:
                value = value / tf.maximum(tf.reduce_sum(counts, (1, 2)), 1.0)
            value = tf.reduce_mean(value)
        gradients = tape.gradient(value, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return value

    batches = pipelines.index_batches(source.num_examples, min(batch_size, source.num_examples),
                                      seed)
    for k in range(1, iterations + 1):
        epoch, index = next(batches)
        mirrored = flip & (draws.draws(seed, epoch, index, 1)[:, 0] < 0.5)
        shown = {int(i): image for part, images in source.pictures(index, batch_size)
                 for i, image in zip(part, images, strict=True)}
        images = [shown[int(i)][:, ::-1] if m else shown[int(i)]
                  for i, m in zip(index, mirrored, strict=True)]
        targets = [target(int(i), bool(m)) for i, m in zip(index, mirrored, strict=True)]
        value = step(*map(tf.constant, padded_batch(images, targets, fill)))
        if k % 20 == 0 or k == iterations:
            value = float(value)
            if not np.isfinite(value):
                raise ValueError(f"the loss is {value} at iteration {k}: a lower learning_rate is "
                                 f"the usual remedy. Received: {learning_rate}")
            if report:
                report(k, value)


def _answers(net, source, decode):
    import tensorflow as tf

    run = tf.function(lambda images: decode(net(images)), reduce_retracing=True)
    for part, images in source.pictures(np.arange(source.num_examples), 1):
        yield int(part[0]), run(tf.constant(images)).numpy()[0]
