"""Classification of VOC 2007, trained end to end (Krähenbühl et al., ICLR 2016; released code)."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.backbones.alexnet import AlexNet
from keras_pretext.backbones.base import backbone_of
from keras_pretext.data import pipeline as pipelines
from keras_pretext.evaluation.features import (
    first_pictures,
    size_for,
    weights_digest,
)
from keras_pretext.evaluation.optimizer import HeadSGD
from keras_pretext.evaluation.probe import ProbeResult, keep_weights, seed_dropout
from keras_pretext.evaluation.rescale import absorb_batch_norm, rescale
from keras_pretext.evaluation.voc_svm import by_rule, checked_multi_labels
from keras_pretext.image.framing import RescaleCrop
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.classification import ClassificationLayer
from keras_pretext.training.precision import precision, quicker

PROTOCOL = "krahenbuhl2015-voc07-cls"
ROWS = ("fc8", "fc6-8", "all")


def sigmoid_loss(labels, logits):
    """Sigmoid cross-entropy, summed over classes, `(batch,)`; difficult classes (-1) left out.

    Args:
        labels: `(batch, classes)`: 1 present, 0 absent, -1 difficult.
        logits: `(batch, classes)`.
    """
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    each = ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(ops.where(labels >= 0, each, 0.0), -1)


def network(backbone, train, classes, fc_units=(4096, 4096), image_size=227, seed=0):
    """A copy of a backbone with a classifier, of which only a row's part is trainable.

    An AlexNet of any flavour, or a VGG with fully connected layers, gets the pool5 and the dropout
    after fc6 and fc7 of Caffe's networks, as in the released code.

    Args:
        train: "fc8" (the classifier), "fc6-8" (what follows pool5), "all", or a tap: what
            follows it.
        fc_units: of the fully connected layers that an AlexNet without them gets, at random.

    Returns:
        keras.Model from images to logits `(batch, classes)`.

    Raises:
        ValueError: for a row that the backbone has no layers for, or fully connected layers of its
            own that do not cover pool5.
    """
    config = backbone.get_config()
    fresh_fc = isinstance(backbone, AlexNet) and not backbone.fc_units
    if isinstance(backbone, AlexNet):
        if backbone.fc_units and image_size != backbone.image_size:
            raise ValueError(f"the fully connected layers cover pool5 at {backbone.image_size} "
                             f"pixels: pass that image_size. Received: {image_size}")
    if hasattr(backbone, "caffe_fc"):
        config.update(caffe_fc=True)
    if fresh_fc:
        config.update(fc_units=tuple(fc_units), image_size=image_size)
    taps = [*backbone.taps, *(("fc6", "fc7") if fresh_fc else ())]
    if train not in (*ROWS, *taps):
        raise ValueError(unknown_name("row or tap", train, (*ROWS, *taps)))
    if train == "fc6-8" and not {"pool5", "fc6"} <= set(taps):
        raise ValueError("row fc6-8 needs taps pool5 and fc6, that is a network with fully "
                         f"connected layers; train 'fc8' or 'all'. Received: {backbone.name} with "
                         f"{', '.join(taps)}")
    copy = type(backbone).from_config(config)
    for k, layer in enumerate(copy.layers):
        if fresh_fc and layer.name.startswith("fc"):
            if hasattr(layer, "kernel"):
                layer.kernel.assign(keras.initializers.HeNormal(seed=seed + 1000 * k)(
                    layer.kernel.shape))
        elif layer.weights:
            keep_weights(layer, backbone.get_layer(layer.name), backbone)
    seed_dropout(copy, seed)
    last = list(copy.taps)[-1]
    if train != "all":
        tap = {"fc8": last, "fc6-8": "pool5"}.get(train, train)
        for layer in keras.Model(copy.input, copy.output[tap]).layers:
            layer.trainable = False
    inputs = keras.Input((image_size, image_size, 3), name="images")
    maps = copy.extractor(last)(inputs)
    if last.startswith("fc"):
        if maps.shape[1:3] != (1, 1):
            raise ValueError(f"at {image_size} pixels {last} is one vector, not a map. Received: "
                             f"{maps.shape[1]}x{maps.shape[2]} of {backbone.name}")
        x = layers.Dropout(0.5, seed=seed, name=f"drop_{last}")(layers.Flatten()(maps))
    else:
        x = layers.GlobalAveragePooling2D(dtype="float32")(maps)
    logits = layers.Dense(classes, name="fc8", dtype="float32",
                          kernel_initializer=keras.initializers.RandomNormal(0, 0.01, seed=seed),
                          bias_initializer=keras.initializers.Constant(0.1))(x)
    return keras.Model(inputs, logits)


def voc_classification(model, train, test, taps=None, row="all", iterations=80_000, batch_size=16,
                       learning_rate=0.001, decay=1e-6, crops=10, scale=(0.5, 2.0), crop=227,
                       rescaled=True, fc_units=(4096, 4096), seeds=(0,), image_size=None,
                       dtype=None, report=None):
    """Fine-tunes a copy of a backbone for sigmoid classification; mean average precision.

    Random rescaling by `scale`, a crop of 227 pixels, mirroring; SGD with momentum 0.9, the rate
    halved eight times over the run (every 10,000 of 80,000 iterations), gradients clipped to norm
    10, biases at twice the rate. The scores of `crops` random crops of a test picture are added.
    Batch normalisation is absorbed and the layers rescaled first (`rescaled`), as Gidaris et al.
    (2018) and others do: without it a network loses several points. Crops that reach out of a
    picture are cut to it. DeepCluster's rows use other rates: `learning_rate=0.003` for fc6-8.

    Args:
        train, test: sources with multi-labels: voc/2007 "train+validation" and "test".
        row: "fc8", "fc6-8", "all", or a tap after which everything is trained; `taps` may name
            it too.
        image_size: 227 by default, or what the model's own fully connected layers are for.
        dtype: a dtype policy; by default the quicker of bfloat16 and float32 on this machine.
        report: called with `(iteration, loss)` now and then.

    Returns:
        ProbeResult with one entry, the row; "last" is the mean average precision by rule "pr_area"
        (the released code's, positives behind negatives of the same score), and `details` has
        every rule and class, for each seed.

    Raises:
        ValueError: labels that cannot serve, a row the backbone has no layers for, a loss that is
            not finite.
    """
    if taps:
        row = taps if isinstance(taps, str) else taps[0]
    if min(iterations, batch_size, crops) < 1 or not seeds:
        raise ValueError("iterations, batch_size, crops and the number of seeds are at least 1. "
                         f"Received: {iterations}, {batch_size}, {crops}, {len(seeds)}")
    labels, test_labels, names = checked_multi_labels(train, test)
    backbone = backbone_of(model)
    usual = getattr(backbone, "fc_units", ()) and backbone.image_size or (
        227 if train.uniform_shape is None else None)
    size = size_for(model, train, usual if image_size is None else image_size)
    network(backbone, row, 1, (1, 1), size)  # is there such a row?
    dtype = dtype or quicker()
    settings = {"train": f"{train.name}/{train.split}", "test": f"{test.name}/{test.split}",
                "train_images": train.num_examples, "train_fingerprint": train.fingerprint()[:16],
                "backbone": backbone.name, "weights": weights_digest(backbone)[:16], "row": row,
                "iterations": iterations, "batch_size": batch_size,
                "learning_rate": learning_rate, "decay": decay, "crops": crops,
                "scale": list(scale), "crop": crop, "rescaled": rescaled,
                "image_size": size, "seeds": [int(seed) for seed in seeds], "dtype": dtype}
    if rescaled:
        backbone = absorb_batch_norm(backbone)
        settings["rescale"] = rescale(backbone, first_pictures(train, size))
    layer = ClassificationLayer(True, RescaleCrop(size, scale, crop))
    layer.uses_labels, layer.uses_index = False, True
    scores, details = [], []
    for seed in seeds:
        with precision(dtype):
            whole = network(backbone, row, len(names), fc_units, size, seed)
            whole.compile(_optimizer(whole, iterations, learning_rate, decay), loss=sigmoid_loss,
                          jit_compile=False)
        stream = pipelines.pipeline(train, layer, min(batch_size, train.num_examples), seed,
                                    steps=iterations)
        for k, (images, index) in enumerate(stream, 1):
            loss = whole.train_on_batch(images, labels[index.numpy()])
            if k % 100 == 0 or k == iterations:
                if not np.isfinite(loss):
                    raise ValueError(f"the loss is {loss} at iteration {k}: a lower learning_rate "
                                     f"is the usual remedy. Received: {learning_rate}")
                if report:
                    report(k, float(loss))
        answers = sum(_answers(whole, test, layer, k, len(names)) for k in range(crops))
        found = by_rule(test_labels, answers - 1e-5 * test_labels, names)
        details.append({"seed": int(seed), **found})
        scores.append(found["pr_area"]["mean"])
    return ProbeResult(PROTOCOL, {row: {"last": scores, "best": scores}}, settings,
                       metric="mAP (pr_area)", details={row: details})


def _optimizer(model, iterations, learning_rate, decay):
    schedule = keras.optimizers.schedules.ExponentialDecay(
        learning_rate, max(1, iterations // 8), 0.5, staircase=True)
    optimizer = HeadSGD(schedule, 0.9, coupled_decay=decay, global_clipnorm=10.0)
    optimizer.slow_down([v for v in model.trainable_variables if v.path.endswith("/bias")], 2.0)
    return optimizer


def _answers(model, source, layer, crop, classes):
    """Logits `(n, classes)` for one random crop of every picture, told by the crop's number."""
    out = np.zeros((source.num_examples, classes), np.float64)
    for images, index in pipelines.pipeline(source, layer, 64, 1_000_000 + crop, shuffle=False):
        out[index.numpy()] = model.predict_on_batch(images)
    return out
