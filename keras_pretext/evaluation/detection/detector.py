"""What Fast and Faster R-CNN share: the network on boxes, its training and its answers."""

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.backbones.vgg import VGG
from keras_pretext.evaluation.detection.boxes import encode, iou
from keras_pretext.evaluation.fcn import caffe_copy, geometry
from keras_pretext.layers.roi_pooling import RoIPooling
from keras_pretext.registry import unknown_name

# Moves are learnt in units of their deviation (Fast R-CNN, released code).
DEVIATION = np.float32([0.1, 0.1, 0.2, 0.2])
GRID = 32  # sides of padded pictures are multiples of it


class Detector:
    """A copy of a trunk, RoI pooling, fully connected layers, and two answers for each box.

    Args:
        backbone: a Backbone; the copy has its weights. Batch normalisation stays as it is. The
            fully connected layers of an AlexNet or a VGG, where they are used, become Caffe's
            (`caffe_fc`).
        classes: without the background.
        tap: what boxes are pooled from; by default the one before pool5, or the last.
        fc_units: widths of fully connected layers from random weights, N(0, 0.001); None takes
            the backbone's own, or (4096, 4096) where it has none.
        pool: features on a side of a pooled box: what the backbone's own fc6 covers, else 6, for
            a VGG 7.
        method: of `RoIPooling`.
        freeze: a tap; what leads to it is not trained.

    Attributes:
        trunk: from pictures `(batch, H, W, 3)` to maps.
        head: from pooled boxes `(n, pool, pool, C)` to `(scores (n, classes + 1), moves
            (n, 4 * (classes + 1)))`; class 0 is the background.

    Raises:
        ValueError: for an unknown tap, or one that is fully connected.
    """

    def __init__(self, backbone, classes, tap=None, fc_units=None, pool=None, method="crop",
                 freeze=None, dropout=0.5, seed=0):
        own = [name for name in backbone.taps if name.startswith("fc")]
        own = own if fc_units is None and tap in (None, usual_tap(backbone)) else []
        copy = caffe_copy(backbone, own, seed)
        self.backbone, self.classes = copy, classes
        self.tap = tap or usual_tap(copy)
        for name in (self.tap, freeze):
            if name is not None and name not in copy.taps:
                raise ValueError(unknown_name(f"tap of {copy.name}", name, copy.taps))
        if self.tap.startswith("fc"):
            raise ValueError("boxes are pooled from a convolution. "
                             f"Received: {self.tap!r} of {copy.name}")
        tail = _after(copy, "pool5", own[-1]) if own else []
        pool = pool or (next(x.kernel_size[0] for x in tail if isinstance(x, layers.Conv2D))
                        if own else 7 if isinstance(copy, VGG) else 6)
        self.trunk = copy.extractor(self.tap)
        for layer in copy.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        if freeze:
            for layer in copy.extractor(freeze).layers:
                layer.trainable = False
        self.stride, offset = geometry(copy, self.tap)
        self.pooling = RoIPooling(pool, self.stride, method, offset)
        normal = keras.initializers.RandomNormal
        pooled = x = keras.Input((pool, pool, self.trunk.output.shape[-1]), name="pooled")
        for layer in tail:
            x = layer(x)
        x = layers.Flatten(name="flat")(x)
        x = layers.Dropout(dropout, seed=seed, name=f"drop_{own[-1]}")(x) if own else x
        for k, units in enumerate(() if own else fc_units or (4096, 4096), 6):
            x = layers.Dense(units, activation="relu", name=f"fc{k}",
                             kernel_initializer=normal(0, 0.001, seed + k))(x)
            x = layers.Dropout(dropout, seed=seed + k, name=f"drop{k}")(x)
        scores = layers.Dense(classes + 1, name="scores", dtype="float32",
                              kernel_initializer=normal(0, 0.01, seed + 1))(x)
        moves = layers.Dense(4 * (classes + 1), name="moves", dtype="float32",
                             kernel_initializer=normal(0, 0.001, seed + 2))(x)
        self.head = keras.Model(pooled, (scores, moves))

    @property
    def variables(self):
        """All that is trained."""
        both = [*self.trunk.trainable_variables, *self.head.trainable_variables]
        return list({id(v): v for v in both}.values())

    def answer(self, maps, boxes, pictures, training=False):
        """Scores and moves for boxes `(n, 4)` in pixels, on the maps of their pictures."""
        scores, moves = self.head(self.pooling(maps, boxes, pictures), training=training)
        return scores, ops.reshape(moves, (-1, self.classes + 1, 4))


def usual_tap(backbone):
    """The tap before pool5, else the last."""
    taps = list(backbone.taps)
    return taps[taps.index("pool5") - 1] if "pool5" in taps else taps[-1]


def _after(backbone, first, last):
    """The layers between two taps of a chain, in order."""
    before = {id(layer) for layer in backbone.extractor(first).layers}
    return [x for x in backbone.extractor(last).layers if id(x) not in before]


def smooth_l1(x, sigma=1.0):
    """`x**2 sigma**2 / 2` where |x| < 1 / sigma**2, else `|x| - 1 / (2 sigma**2)`."""
    x, square = ops.abs(x), sigma * sigma
    return ops.where(x < 1.0 / square, 0.5 * square * x * x, x - 0.5 / square)


def box_loss(labels, targets, scores, moves):
    """Cross-entropy plus smooth L1 of the moves of the labelled class, means over all boxes.

    Args:
        labels: integers `(n,)`, 0 for the background.
        targets: `(n, 4)` in units of `DEVIATION`.
        scores: `(n, classes + 1)`.
        moves: `(n, classes + 1, 4)`.
    """
    labels = ops.cast(labels, "int32")
    chosen = ops.take_along_axis(scores, labels[:, None], 1)[:, 0]
    entropy = ops.logsumexp(scores, -1) - chosen
    mine = ops.take_along_axis(moves, labels[:, None, None], 1)[:, 0]
    wrong = ops.sum(smooth_l1(mine - targets), -1)
    count = ops.maximum(ops.cast(ops.size(labels), "float32"), 1.0)
    return ops.sum(entropy + ops.where(labels > 0, wrong, 0.0)) / count


def sample_boxes(boxes, truth, labels, rng, count=64, part=0.25, foreground=0.5,
                 background=(0.1, 0.5)):
    """Boxes to train on, their labels and their moves (Fast R-CNN, section 2.3).

    Args:
        boxes: proposals `(n, 4)`; the true boxes are added to them.
        truth, labels: `(k, 4)` and `(k,)` in 0..classes - 1.
        part: of `count` that are foreground, at most: overlap `foreground` or more.
        background: overlaps of the others, [low, high).

    Returns:
        `(boxes, labels, targets)`: float32 `(m, 4)`, int32 `(m,)` with 0 for the background,
        float32 `(m, 4)` in units of `DEVIATION`; m is `count` where there are enough.
    """
    boxes = np.concatenate([boxes, truth]).astype("float32")
    overlaps = iou(boxes, truth) if len(truth) else np.zeros((len(boxes), 1))
    best, most = overlaps.argmax(1), overlaps.max(1)
    good = np.flatnonzero(most >= foreground)
    low, high = background
    bad = np.flatnonzero((most >= low) & (most < high))
    if not len(bad):  # a picture of which all proposals are far from the objects
        bad = np.flatnonzero(most < high)
    good = rng.permutation(good)[:round(part * count)]
    bad = rng.permutation(bad)[:count - len(good)]
    chosen = np.concatenate([good, bad])
    marks, targets = np.zeros(len(chosen), np.int32), np.zeros((len(chosen), 4), np.float32)
    if len(good):
        marks[:len(good)] = labels[best[good]] + 1
        targets[:len(good)] = encode(boxes[good], truth[best[good]]) / DEVIATION
    return boxes[chosen], marks, targets


def resized(image, short_side, max_side):
    """`(picture, factor)`: the short side to `short_side`, the long one to `max_side` at most.

    The picture is float32, padded at the right and below to multiples of `GRID` with grey.
    """
    import tensorflow as tf

    height, width = image.shape[:2]
    factor = min(short_side / min(height, width), max_side / max(height, width))
    size = [max(1, round(side * factor)) for side in (height, width)]
    image = tf.image.resize(image, size, antialias=True).numpy()
    room = [(0, -side % GRID) for side in size]
    return np.pad(image, [*room, (0, 0)], constant_values=128), factor


def stacked(images):
    """Padded pictures of several sizes in one batch."""
    height, width = (max(x.shape[k] for x in images) for k in (0, 1))
    return np.stack([np.pad(x, [(0, height - x.shape[0]), (0, width - x.shape[1]), (0, 0)],
                            constant_values=128) for x in images])


def detections(boxes, scores, moves, size, threshold=0.05, overlap=0.3, count=100):
    """What is found in a picture, after suppression of what overlaps something better.

    Args:
        boxes: `(n, 4)`; scores: `(n, classes + 1)` logits; moves: `(n, classes + 1, 4)`.
        size: `(height, width)` of the picture.
        threshold: probabilities below do not count.
        overlap: of a class, a box that overlaps a better one by more is dropped.
        count: how many at most.

    Returns:
        dict `boxes` `(m, 4)`, `labels` `(m,)`, `scores` `(m,)`.
    """
    import tensorflow as tf

    scores = tf.nn.softmax(tf.convert_to_tensor(scores))[:, 1:]
    boxes = tf.convert_to_tensor(boxes, tf.float32)[:, None]
    shifts, ratios = tf.split(tf.convert_to_tensor(moves)[:, 1:] * DEVIATION, 2, -1)
    sizes = tf.maximum(boxes[..., 2:] - boxes[..., :2], 1.0)
    centres = boxes[..., :2] + sizes / 2 + shifts * sizes
    sizes = sizes * tf.exp(tf.minimum(ratios, np.log(1000 / 16)))
    moved = tf.concat([centres - sizes / 2, centres + sizes / 2], -1)
    height, width = map(float, size)
    moved = tf.clip_by_value(moved, 0.0, [height, width, height, width])
    kept = tf.image.combined_non_max_suppression(
        moved[None], scores[None], count, count, overlap, threshold, clip_boxes=False)
    found = int(kept.valid_detections[0])
    return {"boxes": kept.nmsed_boxes[0, :found].numpy(),
            "labels": kept.nmsed_classes[0, :found].numpy().astype(int),
            "scores": kept.nmsed_scores[0, :found].numpy()}


def nothing():
    """`detections` of a picture without proposals."""
    return {"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, int),
            "scores": np.zeros(0, np.float32)}
