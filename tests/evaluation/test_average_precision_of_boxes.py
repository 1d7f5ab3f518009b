"""VOC's average precision against a naive evaluator, COCO's against hand-made cases."""

import numpy as np
import pytest

from keras_pretext.evaluation.detection.boxes import clip, decode, encode, iou, pair_iou
from keras_pretext.evaluation.detection.coco_ap import coco_ap
from keras_pretext.evaluation.detection.voc_ap import voc_ap

NAMES = ("cat", "dog", "cow")


def overlap(a, b):
    """Inclusive pixels, one pair, as the devkit writes it."""
    high = min(a[2], b[2]) - max(a[0], b[0]) + 1
    wide = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if high <= 0 or wide <= 0:
        return 0.0
    size = [(x[2] - x[0] + 1) * (x[3] - x[1] + 1) for x in (a, b)]
    return high * wide / (sum(size) - high * wide)


def naive(truth, found, c, rule):
    """Detection by detection (Everingham et al., 2010; voc_eval.py of Faster R-CNN)."""
    objects = [[(box, hard) for box, label, hard in zip(
        row["boxes"], row["labels"], row["difficult"], strict=True) if label == c]
        for row in truth]
    answers = [(score, k, box) for k, row in enumerate(found) for box, label, score in zip(
        row["boxes"], row["labels"], row["scores"], strict=True) if label == c]
    taken, right, wrong, curve = set(), 0, 0, []
    total = sum(not hard for row in objects for _, hard in row)
    for _, k, box in sorted(answers, key=lambda x: -x[0]):
        values = [overlap(box, other) for other, _ in objects[k]]
        j = int(np.argmax(values)) if values else None
        if values and values[j] > 0.5:
            if objects[k][j][1]:
                continue
            if (k, j) in taken:
                wrong += 1
            else:
                taken.add((k, j))
                right += 1
        else:
            wrong += 1
        curve.append((right / total, right / (right + wrong)))
    if rule == "voc07":
        return sum(max([p for r, p in curve if r >= t / 10 - 1e-9], default=0)
                   for t in range(11)) / 11
    area, before = 0.0, 0.0
    for k, (recall, _) in enumerate(curve):
        area += (recall - before) * max(p for _, p in curve[k:])
        before = recall
    return area


def scene(rng, pictures=25):
    truth, found = [], []
    for _ in range(pictures):
        count, more = rng.integers(0, 6), rng.integers(0, 4)
        corner = rng.integers(0, 60, (count + more, 2))
        boxes = np.concatenate([corner, corner + rng.integers(5, 40, (count + more, 2))], 1)
        labels = rng.integers(0, 3, count + more)
        truth.append({"boxes": boxes[:count], "labels": labels[:count],
                      "difficult": rng.random(count) < 0.25, "crowd": np.zeros(count, bool),
                      "size": (100, 100)})
        again = np.tile(boxes, (2, 1)) + rng.integers(-4, 5, (2 * (count + more), 4))
        again[:, 2:] = np.maximum(again[:, 2:], again[:, :2])
        found.append({"boxes": again.astype("float32"), "labels": np.tile(labels, 2),
                      "scores": np.round(rng.random(len(again)), 2)})
    return truth, found


def test_voc_agrees_with_the_naive_evaluator(rng):
    for _ in range(6):
        truth, found = scene(rng)
        result = voc_ap(truth, found, NAMES)
        for rule in ("voc07", "voc10"):
            each = [naive(truth, found, c, rule) for c in range(3)]
            assert list(result[rule]["classes"].values()) == pytest.approx(each, abs=1e-12)
            assert result[rule]["mean"] == pytest.approx(np.mean(each))
            assert 0.05 < result[rule]["mean"] < 0.95


def row(boxes, labels=None, scores=None, difficult=None):
    out = {"boxes": np.reshape(boxes, (-1, 4)), "size": (100, 100)}
    count = len(out["boxes"])
    out["labels"] = np.zeros(count, int) if labels is None else np.array(labels)
    out["difficult"] = np.zeros(count, bool) if difficult is None else np.array(difficult)
    out["crowd"] = np.zeros(count, bool)
    return out if scores is None else {**out, "scores": np.array(scores)}


def test_voc_by_hand():
    box = [10, 10, 29, 29]
    # 10 of 20 columns, both ends included: exactly one half is not enough
    half, more = [10, 10, 29, 19], [10, 10, 29, 20]
    assert pair_iou(np.array([half]), np.array([box]), 1) == [0.5]
    ap = lambda *a: voc_ap(*a, ("cat",))["voc10"]["mean"]  # noqa: E731
    assert ap([row(box)], [row(half, scores=[0.9])]) == 0.0
    assert ap([row(box)], [row(more, scores=[0.9])]) == 1.0
    # a second hit is wrong, and behind the first it costs nothing
    assert ap([row(box)], [row([box, box], scores=[0.9, 0.8])]) == 1.0
    two = [row([box, [50, 50, 80, 80]])]
    assert ap(two, [row([box, box, [50, 50, 80, 80]], scores=[.9, .8, .7])]) == pytest.approx(
        0.5 + 0.5 * 2 / 3)
    # one on a difficult object is nothing
    hard = [row([box, [50, 50, 80, 80]], difficult=[True, False])]
    assert ap(hard, [row([box, [50, 50, 80, 80]], scores=[0.9, 0.1])]) == 1.0
    # no answer at all
    found = voc_ap(two, [row([], scores=[])], ("cat", "dog"))
    assert found["voc07"] == {"mean": 0.0, "classes": {"cat": 0.0, "dog": None}}


def test_bad_input():
    with pytest.raises(ValueError, match="2 objects, all difficult"):
        voc_ap([row([[1, 1, 2, 2]] * 2, difficult=[True, True])], [row([], scores=[])], NAMES)
    with pytest.raises(ValueError, match="Received: 0 for 1 pictures"):
        voc_ap([row([])], [], NAMES)
    with pytest.raises(ValueError, match="finite. Received: 1"):
        voc_ap([row([1, 1, 2, 2])], [row([1, 1, 2, 2], scores=[np.nan])], NAMES)
    with pytest.raises(ValueError, match=r"detections are in 0\.\.2"):
        voc_ap([row([1, 1, 2, 2])], [row([1, 1, 2, 2], [3], [1.0])], NAMES)
    with pytest.raises(ValueError, match="as many"):
        voc_ap([row([1, 1, 2, 2])], [row([1, 1, 2, 2], [0], [1.0, 0.5])], NAMES)
    with pytest.raises(ValueError, match="needs an object"):
        coco_ap([row([])], [row([], scores=[])], NAMES)


def test_coco_by_hand():
    pytest.importorskip("pycocotools")
    small, large = [10, 10, 30, 30], [0, 0, 100, 100]
    truth = [row([small, large], [0, 1])]
    right = coco_ap(truth, [row([small, large], [0, 1], [0.9, 0.8])], NAMES)
    assert right.pop("APm") is None
    assert right == pytest.approx({"AP": 1.0, "AP50": 1.0, "AP75": 1.0, "APs": 1.0, "APl": 1.0})
    # 14 of 20 rows: an overlap of 0.7 counts at 0.5 ... 0.7, five of ten thresholds
    part = coco_ap(truth, [row([[10, 10, 24, 30], large], [0, 1], [0.9, 0.8])], NAMES)
    assert part["AP50"] == pytest.approx(1) and part["AP75"] == pytest.approx(0.5)
    assert part["AP"] == pytest.approx(0.75, abs=0.01) and part["APl"] == pytest.approx(1)
    assert set(coco_ap(truth, [row([], scores=[])], NAMES).values()) == {0.0}


def test_coco_tells_sizes_by_the_objects_area_where_it_is_known():
    truth = [row([[0, 0, 40, 40]])]
    found = [row([[0, 0, 40, 40]], scores=[0.9])]
    assert coco_ap(truth, found, ["thing"])["APs"] is None
    truth[0]["area"] = np.float32([800])  # a thin thing in a large box
    figures = coco_ap(truth, found, ["thing"])
    assert (figures["APs"], figures["APm"]) == (pytest.approx(1), None)


def test_boxes_move_there_and_back(rng):
    boxes = np.sort(rng.uniform(0, 90, (30, 2, 2)), 1).reshape(30, 4).astype("float32")
    boxes[:, 2:] += 2
    truth = boxes[::-1].copy()
    np.testing.assert_allclose(decode(boxes, encode(boxes, truth)), truth, atol=1e-3)
    np.testing.assert_allclose(encode(np.float32([[0, 0, 10, 20]]), np.float32([[5, 0, 15, 40]])),
                               [[0.5, 0.5, 0, np.log(2)]], rtol=1e-6)
    matrix = iou(boxes, truth[:7])
    for i, j in ((0, 0), (5, 6), (29, 3)):
        assert matrix[i, j] == pytest.approx(pair_iou(boxes[i:i + 1], truth[j:j + 1])[0])
    assert matrix.shape == (30, 7) and iou(boxes, boxes).diagonal() == pytest.approx(1)
    np.testing.assert_array_equal(clip(np.float32([[-3, 4, 50, 90]]), (40, 60)), [[0, 4, 40, 60]])
