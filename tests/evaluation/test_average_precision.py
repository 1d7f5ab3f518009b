from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from keras_pretext.evaluation.average_precision import (
    RULES,
    average_precision,
    mean_average_precision,
)


def naive_curve(labels, scores):
    """(recall, precision) at every threshold, one at a time, as exact fractions."""
    pairs = [(y, s) for y, s in zip(labels, scores, strict=True) if y != -1]
    total = sum(y == 1 for y, _ in pairs)
    for threshold in sorted({s for _, s in pairs}, reverse=True):
        taken = [y for y, s in pairs if s >= threshold]
        yield Fraction(sum(taken), total), Fraction(sum(taken), len(taken))


def naive_voc07(labels, scores):
    curve = list(naive_curve(labels, scores))
    best = [max((p for r, p in curve if r >= Fraction(k, 10)), default=Fraction(0))
            for k in range(11)]
    return float(sum(best) / 11)


def naive_voc10(labels, scores):
    curve, area, before = list(naive_curve(labels, scores)), Fraction(0), Fraction(0)
    for r, _ in curve:
        area += (r - before) * max(p for q, p in curve if q >= r)
        before = r
    return float(area)


@pytest.mark.parametrize("seed", range(8))
def test_rules_against_independent_ones(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1], 60, p=[0.1, 0.6, 0.3])
    labels[:10] = [1] * 10  # recalls that are multiples of a tenth
    scores = rng.normal(size=60) + labels
    if seed % 2:
        scores = np.round(scores, 1)  # ties
    kept = labels >= 0
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels[kept], scores[kept]), abs=1e-12)
    assert average_precision(labels, scores, "voc07") == pytest.approx(
        naive_voc07(labels, scores), abs=1e-12)
    assert average_precision(labels, scores, "voc10") == pytest.approx(
        naive_voc10(labels, scores), abs=1e-12)


def test_by_hand():
    """Ranking + - + - -: precision 1 at recall 1/2, 2/3 at recall 1."""
    labels, scores = [1, 0, 1, 0, 0], [5, 4, 3, 2, 1]
    assert average_precision(labels, scores) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(labels, scores, "voc10") == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(labels, scores, "voc07") == pytest.approx((6 + 5 * 2 / 3) / 11)
    # - + + : the raw curve is below its envelope
    labels = [0, 1, 1]
    assert average_precision(labels, [3, 2, 1]) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision(labels, [3, 2, 1], "voc10") == pytest.approx(2 / 3)


def test_ten_positives_in_order_are_perfect_at_every_recall():
    labels = np.repeat([1, 0], 10)
    labels[3:] = [0, 1, 1, 1, 1, 1, 1, 1] + [0] * 9
    scores = -np.arange(20.0)
    # the first three positives reach a recall of exactly 0.3 at precision 1
    assert average_precision(labels, scores, "voc07") == pytest.approx(
        (4 + 7 * 10 / 11) / 11)


def test_mean_over_classes():
    labels = np.array([[1, 0], [0, 1], [-1, 1]])
    scores = np.array([[2.0, 0], [1, 1], [9, 2]])
    mean, each = mean_average_precision(labels, scores, "voc07")
    assert each == [1.0, 1.0] and mean == 1.0


@pytest.mark.parametrize("labels, scores, rule, message", [
    ([0, -1], [1, 2], "voc07", "not difficult. Received: none"),
    ([1, 0], [1, np.nan], "voc07", "finite. Received: 1"),
    ([1, 0], [1, 2, 3], "voc07", r"Received: \(2,\) and \(3,\)"),
    ([1, 0], [1, 2], "coco", "Received: 'coco'"),
])
def test_bad_input(labels, scores, rule, message):
    with pytest.raises(ValueError, match=message):
        average_precision(labels, scores, rule)
    assert set(RULES) == {"pr_area", "voc07", "voc10"}
