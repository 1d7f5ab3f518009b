"""Average precision of detections as PASCAL VOC counts it."""

import numpy as np

from keras_pretext.evaluation.detection.boxes import pair_iou

RULES = ("voc07", "voc10")


def voc_ap(truth, found, names, threshold=0.5):
    """Average precision of every class, at once.

    A detection is right where its overlap (intersection over union, both ends of a box included)
    with the object of its class that it overlaps most is above the threshold; a second one on the
    same object is wrong; one on a difficult object does not count (Everingham et al., 2010; the
    evaluation in the released code of Faster R-CNN). Detections of all pictures are ranked
    together, ones of the same score in their order.

    Args:
        truth: list, one dict a picture: `boxes` `(k, 4)`, `labels` `(k,)`, `difficult` `(k,)`.
        found: list, one dict a picture: `boxes` `(d, 4)`, `labels` `(d,)`, `scores` `(d,)`.
        names: of the classes.

    Returns:
        `{rule: {"mean": float, "classes": {name: float}}}`; rule "voc07" is the mean precision at
        the recalls 0, 0.1 ... 1 (until 2009), "voc10" the area under the monotone curve. A class
        without a clear object has None and does not count in the mean.

    Raises:
        ValueError: where all objects are difficult or there is none, for lists that differ in
            length, or scores that are not finite.
    """
    if len(truth) != len(found):
        raise ValueError("there is a dict of detections for every picture. "
                         f"Received: {len(found)} for {len(truth)} pictures")
    boxes, labels, pictures, hard = _joined(truth, "difficult", bool)
    ours, classes, where, scores = _joined(found, "scores", np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores are finite. Received: "
                         f"{int((~np.isfinite(scores)).sum())} that are not")
    if not (~hard).any():
        raise ValueError("average precision needs an object that is not difficult. "
                         f"Received: {len(hard)} objects, all difficult")
    for role, values in (("objects", labels), ("detections", classes)):
        if ((values < 0) | (values >= len(names))).any():
            raise ValueError(f"labels of {role} are in 0..{len(names) - 1}. "
                             f"Received: {np.unique(values)[[0, -1]].tolist()}")
    order = np.lexsort((labels, pictures))
    boxes, hard, key = boxes[order], hard[order], (pictures * len(names) + labels)[order]
    best, overlap = _closest(ours, where * len(names) + classes, boxes, key)
    hit = overlap > threshold
    out = {rule: {"classes": {}} for rule in RULES}
    for c, name in enumerate(names):
        mine = np.flatnonzero(classes == c)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        clear = int((~hard[key % len(names) == c]).sum())
        match, right = best[mine], hit[mine]
        ignored = right & hard[match] if len(hard) else right
        first = np.zeros(len(mine), bool)
        candidates = np.flatnonzero(right & ~ignored)
        first[candidates[np.unique(match[candidates], return_index=True)[1]]] = True
        for rule in RULES:
            out[rule]["classes"][name] = (_area(first[~ignored], clear, rule) if clear else None)
    for rule in RULES:
        known = [x for x in out[rule]["classes"].values() if x is not None]
        out[rule]["mean"] = float(np.mean(known))
    return out


def _joined(rows, extra, dtype):
    """Boxes, labels, picture numbers and one more column of all pictures."""
    counts = [len(row["labels"]) for row in rows]
    boxes = [np.reshape(row["boxes"], (-1, 4)) for row in rows]
    if [len(b) for b in boxes] != counts or [len(row[extra]) for row in rows] != counts:
        raise ValueError(f"boxes, labels and {extra} of a picture are as many. "
                         f"Received: {counts[:5]} labels, {[len(b) for b in boxes][:5]} boxes, "
                         f"{[len(row[extra]) for row in rows][:5]} {extra}")
    empty = [np.zeros(0)]
    return (np.concatenate([*boxes, np.zeros((0, 4))]).astype(np.float64),
            np.concatenate([*(row["labels"] for row in rows), *empty]).astype(np.int64),
            np.repeat(np.arange(len(rows)), counts),
            np.concatenate([*(row[extra] for row in rows), *empty]).astype(dtype))


def _closest(ours, mine, boxes, key):
    """For each detection the place of the object of its key it overlaps most, and the overlap.

    `key` is sorted. Where there is no such object the overlap is 0.
    """
    start, end = (np.searchsorted(key, mine, side) for side in ("left", "right"))
    counts = end - start
    best, overlap = np.zeros(len(ours), np.int64), np.zeros(len(ours))
    some = np.flatnonzero(counts)
    if not len(some):
        return best, overlap
    counts = counts[some]
    begins = np.cumsum(counts) - counts
    place = np.arange(counts.sum()) - np.repeat(begins - start[some], counts)
    values = pair_iou(ours[np.repeat(some, counts)], boxes[place], 1)
    most = np.maximum.reduceat(values, begins)
    at = np.flatnonzero(values == np.repeat(most, counts))
    group = np.repeat(np.arange(len(some)), counts)[at]
    first = at[np.unique(group, return_index=True)[1]]
    best[some], overlap[some] = place[first], most
    return best, overlap


def _area(right, clear, rule):
    """Average precision of ranked detections, True where right, of `clear` objects."""
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if rule == "voc07":
        # in integers: 3 of 10 is a recall of 0.3, whatever 0.1 + 0.1 + 0.1 is
        reached = np.searchsorted(10 * found, np.arange(11) * clear)
        return float(np.append(best, 0.0)[np.minimum(reached, len(best))].sum() / 11)
    return float((np.diff(found, prepend=0) * best).sum() / clear)
