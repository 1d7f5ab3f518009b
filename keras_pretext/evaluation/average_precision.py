"""Average precision by the three rules that papers call "mAP"."""

import numpy as np

RULES = ("pr_area", "voc07", "voc10")


def average_precision(labels, scores, rule="pr_area"):
    """How well the scores put the pictures of a class before the others.

    Args:
        labels: `(n,)` integers: 1 present, 0 absent, -1 difficult, which is left out.
        scores: `(n,)` finite numbers. Pictures of the same score are one step of the curve, so
            their order does not matter.
        rule: "pr_area" is the area under the precision-recall curve as it is (scikit-learn's
            `average_precision_score`); "voc07" the mean, over the recalls 0, 0.1 ... 1, of the
            best precision at that recall or a higher one (PASCAL VOC until 2009); "voc10" the
            area under the curve made monotone in this way (PASCAL VOC since 2010).

    Returns:
        float in [0, 1].

    Raises:
        ValueError: for another rule, shapes that differ, scores that are not finite, or no picture
            that is surely of the class.
    """
    if rule not in RULES:
        raise ValueError(f"a rule of average precision is one of {', '.join(RULES)}. "
                         f"Received: {rule!r}")
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError("labels and scores are vectors of one length. "
                         f"Received: {labels.shape} and {scores.shape}")
    scores, labels = scores[labels >= 0], labels[labels >= 0] > 0
    if not np.isfinite(scores).all():
        raise ValueError("scores are finite. Received: "
                         f"{int((~np.isfinite(scores)).sum())} that are not")
    positives = int(labels.sum())
    if not positives:
        raise ValueError("average precision needs a picture of the class that is not difficult. "
                         "Received: none")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(labels[order])[ends]
    precision, recall = found / (ends + 1), found / positives
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if rule == "voc07":  # in integers: 3 of 10 is a recall of 0.3, whatever 0.1 + 0.1 + 0.1 is
        reached = [np.flatnonzero(10 * found >= k * positives)[0] for k in range(11)]
        return float(best[reached].mean())
    heights = precision if rule == "pr_area" else best
    return float((np.diff(recall, prepend=0.0) * heights).sum())


def mean_average_precision(labels, scores, rule="pr_area"):
    """`(mean, [one a class])` for `(n, classes)` labels and scores; see `average_precision`."""
    each = [average_precision(*columns, rule) for columns in zip(
        np.asarray(labels).T, np.asarray(scores).T, strict=True)]
    return float(np.mean(each)), each
