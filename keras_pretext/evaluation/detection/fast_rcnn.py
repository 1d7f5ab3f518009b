"""Fast R-CNN (Girshick, ICCV 2015) on selective search, trained end to end."""

import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.data import draws
from keras_pretext.data import pipeline as pipelines
from keras_pretext.evaluation.detection.coco_ap import coco_ap
from keras_pretext.evaluation.detection.detector import (
    Detector,
    box_loss,
    detections,
    nothing,
    resized,
    sample_boxes,
    stacked,
)
from keras_pretext.evaluation.detection.proposals import proposals
from keras_pretext.evaluation.detection.voc_ap import voc_ap
from keras_pretext.evaluation.features import first_pictures, weights_digest
from keras_pretext.evaluation.optimizer import caffe_optimizer
from keras_pretext.evaluation.probe import ProbeResult
from keras_pretext.evaluation.rescale import absorb_batch_norm, rescale
from keras_pretext.training.precision import precision, quicker

PROTOCOL = "girshick2015-fast-rcnn"


def checked_objects(train, test):
    """`(train objects, test objects, names)`, lists of `Source.objects`.

    Raises ValueError where they cannot serve: a source without boxes, other classes in the two
    splits, boxes outside their pictures, a split whose objects are all difficult, a class without
    a clear object in training.
    """
    for role, source in (("training", train), ("test", test)):
        if source.object_names is None:
            raise ValueError("this protocol needs data with boxes, such as voc/2007; the "
                             f"{role} split has none. Received: {source.name!r}, split "
                             f"{source.split!r}")
    names = tuple(train.object_names)
    if names != tuple(test.object_names):
        raise ValueError("the classes of the test split are those of the training split. Received: "
                         f"{names[:5]} and {tuple(test.object_names)[:5]}")
    both = train.objects(), test.objects()
    for role, source, rows in (("training", train, both[0]), ("test", test, both[1])):
        clear = np.concatenate([row["labels"][clear_objects(row)] for row in rows])
        if not len(clear):
            raise ValueError(f"the {role} split has no object that is not difficult. Received: "
                             f"{sum(len(row['labels']) for row in rows)} objects in "
                             f"{source.name!r}, split {source.split!r}")
        missing = [name for k, name in enumerate(names) if k not in clear]
        if role == "training" and missing:
            raise ValueError("every class has an object that is not difficult in the training "
                             f"split. Received: none of {missing[:10]}")
    return *both, names


def clear_objects(row):
    """Which of a picture's objects are trained on: bool `(k,)`."""
    return ~row["difficult"] & ~row["crowd"] & (row["boxes"][:, 2:] > row["boxes"][:, :2]).all(1)


def fast_rcnn(model, train, test, taps=None, iterations=150_000, batch_size=2, boxes_a_picture=64,
              learning_rate=0.001, momentum=0.9, decay=5e-4, drops=(1 / 3, 2 / 3),
              scales=(480, 576, 688, 864, 1200), max_side=2000, test_scale=600,
              test_max_side=1000, freeze=None, fc_units=None, pool=None, pooling="crop",
              search=None, rescaled=True, seeds=(0,), dtype=None, report=None):
    """`girshick2015-fast-rcnn`: mean average precision of detection.

    Boxes of selective search are pooled from the last convolution and classified; all layers
    are trained but those up to `freeze`. Two pictures a step with 64 boxes each, a quarter of them
    objects (overlap 0.5 and more), the others of overlap 0.1 to 0.5; mirroring; the short side at
    random one of `scales` in training, `test_scale` in the test; suppression at 0.3 (the paper
    and its released code; the schedule of 150,000 steps is the convention of self-supervision).
    Batch normalisation is absorbed and the layers rescaled first (`rescaled`).

    Args:
        train, test: sources with boxes: voc/2007 "train+validation" and "test".
        taps: what boxes are pooled from, one name; by default the tap before pool5, or the last.
        drops: fractions of the run after which the learning rate is a tenth.
        freeze: a tap: what leads to it is not trained.
        fc_units: widths of fully connected layers from random weights; by default the backbone's
            own, where it has some, else (4096, 4096).
        pool: features on a side of a pooled box; by default what fc6 covers.
        pooling: "crop" or "max"; see `RoIPooling`.
        search: dict of options of `selective_search`. Proposals are cached.
        dtype: a dtype policy; by default the quicker of bfloat16 and float32 on this machine.
        report: called with `(iteration, loss)` now and then.

    Returns:
        ProbeResult with one entry, the tap; "last" is the mean average precision by rule
        "voc07"; `details` has every rule and class and, where pycocotools is installed, COCO's
        figures.

    Raises:
        ValueError: for data or taps that cannot serve, a loss that is not finite.
    """
    dtype = dtype or quicker()
    backbone, tap, rows, test_rows, names, settings = prepared(
        model, train, test, taps, rescaled, freeze, fc_units, pool, pooling, {
            "iterations": iterations, "batch_size": batch_size, "learning_rate": learning_rate,
            "boxes_a_picture": boxes_a_picture, "momentum": momentum, "decay": decay,
            "drops": list(drops), "scales": list(scales), "max_side": max_side,
            "test_scale": test_scale, "test_max_side": test_max_side,
            "search": dict(search or {}), "seeds": [int(seed) for seed in seeds],
            "dtype": dtype})
    ours, theirs = (proposals(source, **(search or {})) for source in (train, test))
    scores, details = [], []
    for seed in seeds:
        with precision(dtype):
            net = Detector(backbone, len(names), tap, fc_units, pool, pooling, freeze, seed=seed)
        _train(net, train, rows, ours, iterations, batch_size, boxes_a_picture, learning_rate,
               momentum, decay, drops, scales, max_side, seed, report)
        found = _answers(net, test, theirs, test_scale, test_max_side)
        figures = judged(test_rows, found, names)
        scores.append(figures["voc07"]["mean"])
        details.append({"seed": int(seed), **figures})
    return ProbeResult(PROTOCOL, {tap: {"last": scores, "best": scores}}, settings,
                       metric="mAP (voc07)", details={tap: details})


def prepared(model, train, test, taps, rescaled, freeze, fc_units, pool, pooling, settings):
    """Checks all that can be known before training; the rescaled backbone and the settings."""
    counts = settings["iterations"], settings["batch_size"], len(settings["seeds"])
    if min(counts) < 1:
        raise ValueError("iterations, batch_size and the number of seeds are at least 1. "
                         f"Received: {counts}")
    backbone = backbone_of(model)
    tap = (taps if isinstance(taps, str) else taps[0]) if taps else None
    trial = Detector(backbone, 1, tap, fc_units and [1] * len(fc_units), pool, pooling, freeze)
    rows, test_rows, names = checked_objects(train, test)
    settings = {"train": f"{train.name}/{train.split}", "test": f"{test.name}/{test.split}",
                "train_images": train.num_examples, "train_fingerprint": train.fingerprint()[:16],
                "backbone": backbone.name, "weights": weights_digest(backbone)[:16], **settings,
                "freeze": freeze, "fc_units": fc_units and list(fc_units),
                "pool": trial.pooling.size, "pooling": pooling, "rescaled": rescaled}
    if rescaled:
        backbone = absorb_batch_norm(backbone)
        size = getattr(backbone, "image_size", None) or 227
        settings["rescale"] = rescale(backbone, first_pictures(train, size))
    return backbone, trial.tap, rows, test_rows, names, settings


def judged(truth, found, names):
    """All figures of a test: VOC's two rules and, where pycocotools is installed, COCO's."""
    figures = voc_ap(truth, found, names)
    try:
        figures["coco"] = coco_ap(truth, found, names)
    except ImportError:
        figures["coco"] = None
    return figures


def shown(source, index, numbers, scales, max_side):
    """Pictures of a step at a random scale, perhaps mirrored: `(pictures, factors, mirrored)`.

    Args:
        numbers: `(n, 2)` draws: of the mirroring and of the scale.
    """
    by_place = {int(k): image for part, images in source.pictures(np.unique(index))
                for k, image in zip(part, images, strict=True)}
    pictures, factors = [], []
    for k, draw in zip(index, numbers, strict=True):
        image = by_place[int(k)][:, ::-1] if draw[0] < 0.5 else by_place[int(k)]
        image, factor = resized(np.ascontiguousarray(image), scales[int(draw[1] * len(scales))],
                                max_side)
        pictures.append(image)
        factors.append(factor)
    return stacked(pictures), factors, numbers[:, 0] < 0.5


def mirrored_boxes(boxes, width):
    """Boxes in a picture that is mirrored."""
    return np.stack([boxes[:, 0], width - boxes[:, 3], boxes[:, 2], width - boxes[:, 1]], 1)


def _train(net, source, rows, boxes, iterations, batch_size, count, learning_rate, momentum,
           decay, drops, scales, max_side, seed, report):
    import tensorflow as tf

    variables = net.variables
    optimizer = caffe_optimizer(variables, iterations, learning_rate, momentum, drops, decay)

    @tf.function(reduce_retracing=net.pooling.method == "crop")
    def step(images, boxes, pictures, labels, targets):
        with tf.GradientTape() as tape:
            answer = net.answer(net.trunk(images, training=True), boxes, pictures, training=True)
            loss = box_loss(labels, targets, *answer)
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return loss

    batches = pipelines.index_batches(source.num_examples, min(batch_size, source.num_examples),
                                      seed)
    for k in range(1, iterations + 1):
        epoch, index = next(batches)
        images, factors, mirrored = shown(source, index, draws.draws(seed, epoch, index, 2),
                                          scales, max_side)
        parts = []
        for j, i in enumerate(index):
            row, kept = rows[i], clear_objects(rows[i])
            ours, truth = boxes[i], row["boxes"][kept]
            if mirrored[j]:
                ours, truth = (mirrored_boxes(b, row["size"][1]) for b in (ours, truth))
            chosen, labels, targets = sample_boxes(
                ours * factors[j], truth * factors[j], row["labels"][kept],
                np.random.default_rng([seed, epoch, int(i)]), count)
            parts.append((chosen, np.full(len(chosen), j, np.int32), labels, targets))
        given = [np.concatenate(column) for column in zip(*parts, strict=True)]
        loss = step(tf.constant(images), *map(tf.constant, given))
        check_loss(k, iterations, loss, learning_rate, report)


def check_loss(k, iterations, loss, learning_rate, report):
    """Every 20 iterations and at the end: raises ValueError for a loss that is not finite."""
    if k % 20 == 0 or k == iterations:
        loss = float(loss)
        if not np.isfinite(loss):
            raise ValueError(f"the loss is {loss} at iteration {k}: a lower learning_rate is the "
                             f"usual remedy. Received: {learning_rate}")
        if report:
            report(k, loss)


def _answers(net, source, boxes, scale, max_side):
    """`detections` for every picture of a source, in its order and pixels."""
    import tensorflow as tf

    @tf.function(reduce_retracing=net.pooling.method == "crop")
    def run(images, boxes):
        maps = net.trunk(images, training=False)
        return net.answer(maps, boxes, tf.zeros(tf.shape(boxes)[:1], tf.int32))

    found = []
    for k in range(source.num_examples):
        (_, images), = source.pictures([k])
        image, factor = resized(images[0], scale, max_side)
        if not len(boxes[k]):
            found.append(nothing())
            continue
        scores, moves = run(tf.constant(image[None]), tf.constant(boxes[k] * np.float32(factor)))
        size = [side * factor for side in images.shape[1:3]]
        found.append(detections(boxes[k] * factor, scores, moves, size))
        found[-1]["boxes"] /= factor
    return found
