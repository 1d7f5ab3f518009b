"""Anchors, their targets and proposals by hand; Faster R-CNN on easy pictures."""

import keras
import numpy as np
import pytest
from test_detection import squares

from keras_pretext import evaluation
from keras_pretext.evaluation.detection import faster_rcnn
from keras_pretext.evaluation.detection.boxes import encode, iou
from keras_pretext.evaluation.detection.faster_rcnn import (
    anchor_targets,
    anchors,
    proposal_loss,
    region_proposals,
)


def test_anchors_by_hand():
    found = anchors(2, 3, 16, 7.5, sides=(32, 64), ratios=(0.25, 1, 4))
    assert found.shape == (2 * 3 * 6, 4) and found.dtype == np.float32
    boxes = found.reshape(2, 3, 6, 4)
    np.testing.assert_allclose(boxes[0, 0, 1], [-8.5, -8.5, 23.5, 23.5])
    np.testing.assert_allclose(boxes[1, 2, 0], [15.5, 7.5, 31.5, 71.5])  # 16 high, 64 wide
    np.testing.assert_allclose(boxes[1, 2, 5], [23.5 - 64, 39.5 - 16, 23.5 + 64, 39.5 + 16])


def test_which_anchors_learn_what(rng):
    boxes = anchors(12, 12, 8, 4, sides=(16, 32))
    truth = np.float32([[10, 12, 43, 44], [60, 40, 70, 61]])  # no anchor is near the second
    index, labels, targets = anchor_targets(boxes, truth, (96, 96), rng, count=64)
    overlaps, inside = iou(boxes, truth), ((boxes >= 0) & (boxes <= 96)).all(1)
    assert inside[index].all() and len(set(index)) == len(index) == 64
    best = overlaps[inside].max(0)
    positive = inside & ((overlaps.max(1) >= 0.7) | (overlaps == best).any(1))
    assert best[0] > 0.7 > best[1] and 2 <= positive.sum() <= 32
    assert set(index[labels == 1]) == set(np.flatnonzero(positive))
    assert (overlaps[index[labels == 0]] < 0.3).all() and not targets[labels == 0].any()
    for k, target in zip(index[labels == 1], targets[labels == 1], strict=True):
        np.testing.assert_allclose(target, encode(boxes[[k]], truth[[overlaps[k].argmax()]])[0])
    index, labels, _ = anchor_targets(boxes, truth[:0], (96, 96), rng, count=64)
    assert len(index) == 64 and not labels.any()
    assert not len(anchor_targets(boxes, truth, (10, 10), rng)[0])


def test_proposals_are_moved_cut_sorted_and_suppressed():
    boxes = np.float32([[0, 0, 40, 40], [50, 50, 90, 90], [2, 0, 42, 40], [10, 60, 20, 70]])
    moves = np.zeros((4, 4), np.float32)
    moves[1] = [0.5, 0, 0, 0]  # 20 pixels down, over the edge
    found = region_proposals(boxes, np.float32([1, 2, 3, 9]), moves, (100, 100), 10, 5)
    np.testing.assert_allclose(found, [[2, 0, 42, 40], [70, 50, 100, 90]])  # the last is small
    assert len(region_proposals(boxes, np.float32([1, 2, 3, 9]), moves, (100, 100), 10, 1)) == 1
    one = region_proposals(boxes, np.float32([1, 2, 3, 9]), moves, (100, 100), 1, 5)
    np.testing.assert_allclose(one, [[2, 0, 42, 40]])


def test_the_smallest_proposal_is_16_pixels_of_the_picture_itself(backbone, monkeypatch):
    seen, kept = [], faster_rcnn.region_proposals

    def watched(*args, **kwargs):
        seen.append(kwargs["least"])
        return kept(*args, **kwargs)

    monkeypatch.setattr(faster_rcnn, "region_proposals", watched)
    evaluation.faster_rcnn(backbone, squares(8, 1), squares(2, 2), "high", iterations=1,
                           fc_units=(8,), pool=4, scales=(144,), test_scale=192,
                           anchor_sides=(28,), rescaled=False)
    assert seen == [24, 32, 32]  # pictures of 96 pixels


def test_proposal_loss_by_hand(rng):
    scores, moves = rng.normal(size=9).astype("float32"), np.zeros((9, 4), np.float32)
    index, labels = np.array([7, 2, 4]), np.float32([1, 0, 0])
    targets = np.zeros((3, 4), np.float32)
    targets[:2] = [0.05, 0, 0, 2]  # of the second nothing counts
    p = 1 / (1 + np.exp(-scores[index].astype(float)))
    expected = (-np.log(p[0]) - np.log(1 - p[1:]).sum() + 4.5 * 0.05**2 + 2 - 1 / 18) / 3
    assert float(proposal_loss(index, labels, targets, scores, moves)) == pytest.approx(expected)
    none = proposal_loss(index[:0], labels[:0], targets[:0], scores, moves)
    assert float(none) == 0


def test_faster_rcnn_learns(backbone):
    before = [keras.ops.convert_to_numpy(w).copy() for w in backbone.weights]
    result = evaluation.faster_rcnn(
        backbone, squares(16, 1), squares(8, 2), "high", iterations=60, learning_rate=0.01,
        fc_units=(64,), pool=4, scales=(96,), test_scale=96, anchor_sides=(28, 42),
        boxes_a_picture=32, proposals=(100, 50), freeze="low", rescaled=False)
    assert result.protocol == "ren2015-faster-rcnn" and result.settings["freeze"] == "low"
    assert result.mean("high") > 0.4
    for old, new in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))
    with pytest.raises(ValueError, match="Did you mean 'low'"):
        evaluation.faster_rcnn(backbone, squares(4, 1), squares(4, 1), freeze="lo")
