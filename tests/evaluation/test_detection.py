"""Sampling and losses by hand; Fast R-CNN on easy pictures."""

import json

import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.backbones import VGG, AlexNet
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.detection.boxes import encode, iou
from keras_pretext.evaluation.detection.detector import (
    DEVIATION,
    Detector,
    box_loss,
    detections,
    resized,
    sample_boxes,
    smooth_l1,
)
from keras_pretext.evaluation.detection.fast_rcnn import (
    checked_objects,
    mirrored_boxes,
    shown,
)
from keras_pretext.evaluation.detection.proposals import proposals, selective_search


def numpy(x):
    return keras.ops.convert_to_numpy(x)


class Boxed(ArraySource):
    """Pictures with boxes, from arrays."""

    object_names = ("bright", "dark")

    def __init__(self, images, rows, **kwargs):
        super().__init__(images, **kwargs)
        self.rows = rows

    def objects(self):
        return self.rows


def squares(count, seed, size=96):
    """One bright or dark square on grey noise."""
    rng = np.random.default_rng(seed)
    images, rows = rng.normal(128, 6, (count, size, size, 3)), []
    for image in images:
        side, label = rng.integers(30, 50), rng.integers(2)
        top, left = rng.integers(0, size - side, 2)
        image[top:top + side, left:left + side] += (90, -90)[label]
        rows.append({"boxes": np.float32([[top, left, top + side, left + side]]),
                     "labels": np.array([label]), "difficult": np.zeros(1, bool),
                     "crowd": np.zeros(1, bool), "size": (size, size)})
    return Boxed(images.clip(0, 255).astype("uint8"), rows, name=f"squares{seed}")


def small(**kwargs):
    return AlexNet("rotnet", fc_units=(8, 8), image_size=71, conv1_stride=2, **kwargs)


def test_smooth_l1_and_the_loss_by_hand(rng):
    np.testing.assert_allclose(numpy(smooth_l1(np.float32([-2, -0.5, 0, 1, 3]))),
                               [1.5, 0.125, 0, 0.5, 2.5])
    np.testing.assert_allclose(numpy(smooth_l1(np.float32([0.05, 1.0]), 3.0)),
                               [0.5 * 9 * 0.05**2, 1 - 0.5 / 9], rtol=1e-6)
    scores = rng.normal(size=(4, 3)).astype("float32")
    moves = rng.normal(size=(4, 3, 4)).astype("float32")
    labels, targets = np.int32([0, 2, 1, 0]), rng.normal(size=(4, 4)).astype("float32")
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = -np.log(p[range(4), labels]).mean()
    for k in (1, 2):
        x = np.abs(moves[k, labels[k]] - targets[k])
        expected += np.where(x < 1, x * x / 2, x - 0.5).sum() / 4
    assert float(box_loss(labels, targets, scores, moves)) == pytest.approx(expected, rel=1e-5)


def test_what_is_sampled(rng):
    truth, labels = np.float32([[10, 10, 50, 50], [60, 60, 90, 90]]), np.array([4, 1])
    near = truth[rng.integers(0, 2, 60)] + rng.integers(-4, 5, (60, 4))
    side = np.tile(np.float32([[10, 35, 50, 75], [60, 75, 90, 105]]), (40, 1))  # 0.23 and 0.33
    far = np.tile(np.float32([[100, 100, 120, 130]]), (50, 1))
    boxes = np.concatenate([near, side, far]).astype("float32")
    chosen, marks, targets = sample_boxes(boxes, truth, labels, rng, 64)
    assert len(chosen) == 64 and (marks > 0).sum() == 16
    overlaps = iou(chosen, truth)
    for box, mark, target, values in zip(chosen, marks, targets, overlaps, strict=True):
        if mark:
            best = values.argmax()
            assert values[best] >= 0.5 and mark == labels[best] + 1
            np.testing.assert_allclose(target * DEVIATION, encode(box[None], truth[[best]])[0],
                                       atol=1e-6)
        else:
            assert 0.1 <= values.max() < 0.5 and not target.any()
    # the objects themselves are proposals too, and far boxes serve where there are no others
    chosen, marks, _ = sample_boxes(far, truth, labels, rng, 8)
    assert sorted(marks) == [0] * 6 + [2, 5] and (chosen[marks == 0] == far[0]).all()
    chosen, marks, _ = sample_boxes(far, truth[:0], labels[:0], rng, 8)
    assert len(chosen) == 8 and not marks.any()


def test_detections_are_moved_cut_and_suppressed():
    boxes = np.float32([[10, 10, 30, 30], [12, 10, 32, 30], [50, 50, 70, 90], [0, 0, 10, 10]])
    scores = np.float32([[0, 5, 0], [0, 4, 0], [0, 0, 5], [9, 0, 0]])
    moves = np.zeros((4, 3, 4), np.float32)
    moves[2, 2] = np.float32([0.5, 0, np.log(2), 0]) / DEVIATION  # 10 down, twice as high
    found = detections(boxes, scores, moves, (75, 100))
    np.testing.assert_array_equal(found["labels"], [0, 1])
    np.testing.assert_allclose(found["boxes"], [[10, 10, 30, 30], [50, 50, 75, 90]], atol=1e-4)
    p = np.exp(5) / (np.exp(5) + 2)
    np.testing.assert_allclose(found["scores"], [p, p], rtol=1e-5)
    assert len(detections(boxes, scores, moves, (75, 100), overlap=0.99)["labels"]) == 3
    assert len(detections(boxes, scores, moves, (75, 100), threshold=0.999)["labels"]) == 0


def test_pictures_are_resized_and_mirrored_with_their_boxes():
    source = squares(3, 1)
    images, factors, mirrored = shown(source, np.array([2, 0]), np.float32([[0.4, 0], [0.6, 0.99]]),
                                      (48, 144), 1000)
    assert factors == [0.5, 1.5] and mirrored.tolist() == [True, False]
    assert images.shape == (2, 160, 160, 3)  # 144 to a multiple of 32
    assert (images[1, 144:] == 128).all() and (images[0, 64:] == 128).all()
    box = source.rows[2]["boxes"]
    top, left, bottom, right = (mirrored_boxes(box, 96) * 0.5)[0].round().astype(int)
    inside = images[0, top + 1:bottom - 1, left + 1:right - 1].mean()
    assert abs(inside - 128) > 70
    assert abs(images[0, :48, :48].sum() - 128 * 48 * 48 * 3 - (inside - 128) * 3 * (
        bottom - top) * (right - left)) < 60_000
    picture, factor = resized(np.zeros((100, 300, 3), np.uint8), 600, 1000)
    assert factor == pytest.approx(10 / 3) and picture.shape == (352, 1024, 3)


def test_what_is_trained_and_what_is_the_backbones_own(rng):
    backbone = small()
    net = Detector(backbone, 3, freeze="conv2")
    assert net.tap == "conv5" and net.pooling.size == 3 == backbone.get_layer("fc6").kernel_size[0]
    found = list(dict.fromkeys(v.path.split("/")[-2].removesuffix("_bn") for v in net.variables))
    assert found == ["conv3", "conv4", "conv5", "fc6", "fc7", "scores", "moves"]
    x = rng.normal(size=(2, 3, 3, 256)).astype("float32")
    own = numpy(keras.Model(backbone.get_layer("fc6").input, backbone.output["fc7"])(x))
    kernel, bias = net.head.get_layer("scores").get_weights()
    np.testing.assert_allclose(numpy(net.head(x)[0]), own[:, 0, 0] @ kernel + bias, atol=1e-5)
    assert own.std() > 0.1
    scores, moves = net.answer(numpy(net.trunk(np.zeros((1, 96, 96, 3)))),
                               np.float32([[0, 0, 50, 50]]), np.array([0]))
    assert scores.shape == (1, 4) and moves.shape == (1, 4, 4)
    fresh = Detector(VGG(11), 3, fc_units=(6,))
    assert fresh.tap == "conv5_2" and fresh.pooling.size == 7 and fresh.stride == 16
    assert Detector(AlexNet("caffenet", fc_units=()), 2, "conv4", (5,)).pooling.size == 6


def test_selective_search_finds_the_square(tmp_path):
    pytest.importorskip("cv2")
    source = squares(2, 5)
    found = proposals(source)
    for image, row, boxes in zip(source.arrays()[0], source.rows, found, strict=True):
        assert boxes.dtype == np.float32 and iou(boxes, row["boxes"]).max() > 0.8
        assert (boxes >= 0).all() and (boxes <= 96).all()
        np.testing.assert_array_equal(boxes, selective_search(image))
        # 192 x 96 pixels, searched at 96 x 48
        large = selective_search(image.repeat(2, 0), max_side=96, min_size=8)
        assert iou(large, row["boxes"] * [2, 1, 2, 1]).max() > 0.7
    for first, again in zip(found, proposals(source), strict=True):  # from the file
        np.testing.assert_array_equal(first, again)
    with pytest.raises(ValueError, match="fast, quality. Received: 'best'"):
        selective_search(source.arrays()[0][0], "best")


def test_fast_rcnn_learns_and_leaves_the_network_as_it_is():
    pytest.importorskip("cv2")
    keras.utils.set_random_seed(0)
    backbone, seen = small(), []
    before = [numpy(w).copy() for w in backbone.weights]
    result = evaluation.fast_rcnn(
        backbone, squares(16, 1), squares(8, 2), "conv3", iterations=30, learning_rate=0.01,
        fc_units=(64,), pool=4, scales=(80, 96), test_scale=96, dtype="float32",
        boxes_a_picture=32, report=lambda *row: seen.append(row))
    assert result.protocol == "girshick2015-fast-rcnn" and result.metric == "mAP (voc07)"
    assert result.mean("conv3") > 0.5
    assert [k for k, _ in seen] == [20, 30]
    for old, new in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))
    details, = result.details["conv3"]
    assert set(details["voc10"]["classes"]) == {"bright", "dark"}
    json.dumps(result.to_dict())


def test_bad_input_before_anything_is_computed():
    good, backbone = squares(4, 1), small()
    plain = ArraySource(good.arrays()[0], name="plain")
    with pytest.raises(ValueError, match="with boxes, such as voc/2007.*test.*'plain'"):
        evaluation.fast_rcnn(backbone, good, plain)
    hard = squares(4, 1)
    for row in hard.rows:
        row["difficult"][:] = True
    with pytest.raises(ValueError, match="no object that is not difficult. Received: 4 objects"):
        evaluation.fast_rcnn(backbone, good, hard)
    bright = squares(4, 1)
    for row in bright.rows:
        row["labels"][:] = 0
    with pytest.raises(ValueError, match=r"none of \['dark'\]"):
        checked_objects(bright, good)
    with pytest.raises(ValueError, match="Did you mean 'conv3'"):
        evaluation.fast_rcnn(backbone, good, good, "conv33")
    with pytest.raises(ValueError, match="from a convolution. Received: 'fc6'"):
        evaluation.fast_rcnn(backbone, good, good, "fc6")
    with pytest.raises(ValueError, match="Did you mean 'conv2'"):
        evaluation.fast_rcnn(backbone, good, good, freeze="cnv2")
    with pytest.raises(ValueError, match=r"at least 1. Received: \(0, 2, 1\)"):
        evaluation.fast_rcnn(backbone, good, good, iterations=0)
