"""Faster R-CNN (Ren et al., NIPS 2015), the region proposal network trained jointly."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.data import draws
from keras_pretext.data import pipeline as pipelines
from keras_pretext.evaluation.detection.boxes import clip, decode, encode, iou
from keras_pretext.evaluation.detection.detector import (
    Detector,
    box_loss,
    detections,
    nothing,
    resized,
    sample_boxes,
    smooth_l1,
)
from keras_pretext.evaluation.detection.fast_rcnn import (
    check_loss,
    clear_objects,
    judged,
    mirrored_boxes,
    prepared,
    shown,
)
from keras_pretext.evaluation.optimizer import caffe_optimizer
from keras_pretext.evaluation.probe import ProbeResult
from keras_pretext.training.precision import precision, quicker

PROTOCOL = "ren2015-faster-rcnn"
RATIOS = (0.5, 1.0, 2.0)  # height to width
LEAST = 16  # pixels of the picture before it is resized: the shortest side of a proposal


def anchors(height, width, stride, offset, sides=(128, 256, 512), ratios=RATIOS):
    """Boxes `(height * width * len(sides) * len(ratios), 4)` around every feature of a map.

    Feature k is at pixel `stride * k + offset`. Each side gives boxes of area side**2 with each
    ratio of height to width; boxes of one feature follow each other, its ratios within a side.
    """
    shapes = np.array([(side * np.sqrt(ratio), side / np.sqrt(ratio))
                       for side in sides for ratio in ratios])
    own = np.concatenate([-shapes / 2, shapes / 2], 1)
    y, x = np.meshgrid(stride * np.arange(height) + offset, stride * np.arange(width) + offset,
                       indexing="ij")
    centres = np.stack([y, x, y, x], -1).reshape(-1, 1, 4)
    return (centres + own).reshape(-1, 4).astype("float32")


def anchor_targets(boxes, truth, size, rng, count=256, above=0.7, below=0.3):
    """Which anchors the proposal network learns from (section 3.1.2).

    Positive are those of overlap `above` or more, and the best of every object; negative those
    below `below` with all objects; anchors that reach out of the picture are left out. Half are
    positive at most.

    Returns:
        `(index, labels, targets)`: int64 `(m,)`, float32 `(m,)` of 1 and 0, and what moves each
        onto its object, float32 `(m, 4)`, zero for the negative.
    """
    height, width = size
    inside = np.flatnonzero((boxes[:, :2] >= 0).all(1) & (boxes[:, 2] <= height)
                            & (boxes[:, 3] <= width))
    overlaps = iou(boxes[inside], truth) if len(truth) else np.zeros((len(inside), 1))
    most = overlaps.max(1)
    good = most >= above
    if len(truth) and len(inside):
        best = overlaps.max(0)
        good |= ((overlaps == best) & (best > 0)).any(1)
    bad = np.flatnonzero((most < below) & ~good)
    good = rng.permutation(np.flatnonzero(good))[:count // 2]
    bad = rng.permutation(bad)[:count - len(good)]
    targets = np.zeros((len(good) + len(bad), 4), np.float32)
    if len(good):
        targets[:len(good)] = encode(boxes[inside[good]], truth[overlaps[good].argmax(1)])
    labels = np.repeat(np.float32([1, 0]), [len(good), len(bad)])
    return inside[np.concatenate([good, bad])], labels, targets


def region_proposals(boxes, scores, moves, size, before, after, overlap=0.7, least=LEAST):
    """The best boxes `(m, 4)` of the proposal network in a picture, suppressed at `overlap`.

    Args:
        boxes: anchors `(n, 4)`; scores: `(n,)`; moves: `(n, 4)`.
        size: `(height, width)` of the picture.
        before, after: how many boxes, at most, go into the suppression and come out.
        least: sides below, in pixels, are left out.
    """
    import tensorflow as tf

    chosen = np.argsort(-scores, kind="stable")
    moved = clip(decode(boxes[chosen], moves[chosen]), size)
    kept = np.flatnonzero(((moved[:, 2:] - moved[:, :2]) >= least).all(1))[:before]
    moved, scores = moved[kept], scores[chosen][kept]
    return moved[tf.image.non_max_suppression(moved, scores, after, overlap).numpy()]


def proposal_loss(index, labels, targets, scores, moves):
    """Cross-entropy of objectness and smooth L1 (sigma 3), means over the sampled anchors."""
    chosen = ops.take(scores, index, axis=0)
    entropy = ops.maximum(chosen, 0.0) - chosen * labels + ops.log1p(ops.exp(-ops.abs(chosen)))
    wrong = ops.sum(smooth_l1(ops.take(moves, index, axis=0) - targets, 3.0), -1)
    count = ops.maximum(ops.cast(ops.size(labels), "float32"), 1.0)  # a small picture may hold none
    return ops.sum(entropy + wrong * labels) / count


class Proposer:
    """The proposal network on a detector's maps: a 3x3 convolution, then scores and moves.

    Attributes:
        model: from maps `(1, H, W, C)` to `(scores (n,), moves (n, 4))`, n as `anchors` has them.
    """

    def __init__(self, net, sides, channels=512, seed=0):
        def conv(units, kernel, name, number, **options):
            return layers.Conv2D(units, kernel, padding="same", name=name, **options,
                                 kernel_initializer=keras.initializers.RandomNormal(
                                     0, 0.01, seed + number))

        self.sides, self.net = sides, net
        each = len(sides) * len(RATIOS)
        maps = keras.Input((None, None, net.trunk.output.shape[-1]), name="maps")
        x = conv(channels, 3, "rpn", 11, activation="relu")(maps)
        scores = conv(each, 1, "rpn_scores", 12, dtype="float32")(x)
        moves = conv(4 * each, 1, "rpn_moves", 13, dtype="float32")(x)
        flat = [layers.Reshape(shape, dtype="float32") for shape in ((-1,), (-1, 4))]
        self.model = keras.Model(maps, (flat[0](scores), flat[1](moves)))
        self.offset = net.pooling.offset

    def anchors(self, maps):
        """`anchors` of maps."""
        return anchors(maps.shape[1], maps.shape[2], self.net.stride, self.offset, self.sides)


def faster_rcnn(model, train, test, taps=None, iterations=70_000, boxes_a_picture=128,
                learning_rate=0.001, momentum=0.9, decay=5e-4, drops=(5 / 7,), scales=(600,),
                max_side=1000, test_scale=600, test_max_side=1000, anchor_sides=(128, 256, 512),
                proposals=(2000, 300), freeze=None, fc_units=None, pool=None, pooling="crop",
                rescaled=True, seeds=(0,), dtype=None, report=None):
    """`ren2015-faster-rcnn`: mean average precision of detection, without selective search.

    A proposal network on the same maps is trained together with the detector (approximate joint
    training: proposals are taken as given). One picture a step with 256 anchors and 128 boxes, a
    quarter of them objects (overlap 0.5 and more), the others of overlap 0 to 0.5; mirroring
    (the paper and its released code). `freeze="conv3"` gives the columns ">c3" of Wang, He and
    Gupta (2017, Table 3). On COCO the details' `coco` are the figures to report.

    Args:
        anchor_sides: in pixels of the resized picture.
        proposals: how many boxes come out of the suppression, in training and in the test.
        Others: see `fast_rcnn`.

    Result and errors: see `fast_rcnn`.
    """
    dtype = dtype or quicker()
    backbone, tap, rows, test_rows, names, settings = prepared(
        model, train, test, taps, rescaled, freeze, fc_units, pool, pooling, {
            "iterations": iterations, "batch_size": 1, "boxes_a_picture": boxes_a_picture,
            "learning_rate": learning_rate, "momentum": momentum, "decay": decay,
            "drops": list(drops), "scales": list(scales), "max_side": max_side,
            "test_scale": test_scale, "test_max_side": test_max_side,
            "anchor_sides": list(anchor_sides), "proposals": list(proposals),
            "seeds": [int(seed) for seed in seeds], "dtype": dtype})
    scores, details = [], []
    for seed in seeds:
        with precision(dtype):
            net = Detector(backbone, len(names), tap, fc_units, pool, pooling, freeze, seed=seed)
            proposer = Proposer(net, anchor_sides, seed=seed)
        _train(net, proposer, train, rows, iterations, boxes_a_picture, learning_rate, momentum,
               decay, drops, scales, max_side, proposals[0], seed, report)
        found = _answers(net, proposer, test, test_scale, test_max_side, proposals[1])
        figures = judged(test_rows, found, names)
        scores.append(figures["voc07"]["mean"])
        details.append({"seed": int(seed), **figures})
    return ProbeResult(PROTOCOL, {tap: {"last": scores, "best": scores}}, settings,
                       metric="mAP (voc07)", details={tap: details})


def _train(net, proposer, source, rows, iterations, count, learning_rate, momentum, decay, drops,
           scales, max_side, proposals, seed, report):
    import tensorflow as tf

    variables = [*net.variables, *proposer.model.trainable_variables]
    optimizer = caffe_optimizer(variables, iterations, learning_rate, momentum, drops, decay)
    exact = net.pooling.method == "max"

    @tf.function(reduce_retracing=not exact)
    def look(images):
        maps = net.trunk(images, training=True)
        scores, moves = proposer.model(maps, training=True)
        return maps, scores[0], moves[0]

    @tf.function(reduce_retracing=not exact)
    def judge(maps, scores, moves, index, marks, shifts, boxes, labels, targets):
        pictures = tf.zeros(tf.shape(boxes)[:1], tf.int32)
        answer = net.answer(maps, boxes, pictures, training=True)
        return (proposal_loss(index, marks, shifts, scores, moves)
                + box_loss(labels, targets, *answer))

    batches = pipelines.index_batches(source.num_examples, 1, seed)
    for k in range(1, iterations + 1):
        epoch, index = next(batches)
        images, (factor,), (mirrored,) = shown(source, index, draws.draws(seed, epoch, index, 2),
                                               scales, max_side)
        row, rng = rows[index[0]], np.random.default_rng([seed, epoch, int(index[0])])
        kept, size = clear_objects(row), [side * factor for side in row["size"]]
        truth = row["boxes"][kept]
        truth = (mirrored_boxes(truth, row["size"][1]) if mirrored else truth) * factor
        with tf.GradientTape() as tape:
            maps, scores, moves = look(tf.constant(images))
            boxes = proposer.anchors(maps)
            of_anchors = anchor_targets(boxes, truth, size, rng)
            found = region_proposals(boxes, scores.numpy(), moves.numpy(), size, 12_000, proposals,
                                     least=LEAST * factor)
            sampled = sample_boxes(found, truth, row["labels"][kept], rng, count,
                                   background=(0.0, 0.5))
            loss = judge(maps, scores, moves, *map(tf.constant, (*of_anchors, *sampled)))
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        check_loss(k, iterations, loss, learning_rate, report)


def _answers(net, proposer, source, scale, max_side, count):
    """`detections` for every picture of a source, in its order and pixels."""
    import tensorflow as tf

    exact = net.pooling.method == "max"

    @tf.function(reduce_retracing=not exact)
    def look(images):
        maps = net.trunk(images, training=False)
        scores, moves = proposer.model(maps, training=False)
        return maps, scores[0], moves[0]

    @tf.function(reduce_retracing=not exact)
    def judge(maps, boxes):
        return net.answer(maps, boxes, tf.zeros(tf.shape(boxes)[:1], tf.int32))

    found = []
    for k in range(source.num_examples):
        (_, images), = source.pictures([k])
        image, factor = resized(images[0], scale, max_side)
        size = [side * factor for side in images.shape[1:3]]
        maps, scores, moves = look(tf.constant(image[None]))
        boxes = region_proposals(proposer.anchors(maps), scores.numpy(), moves.numpy(), size,
                                 6000, count, least=LEAST * factor)
        found.append(detections(boxes, *judge(maps, tf.constant(boxes)), size) if len(boxes)
                     else nothing())
        found[-1]["boxes"] /= factor
    return found
