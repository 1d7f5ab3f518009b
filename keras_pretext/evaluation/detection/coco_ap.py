"""Average precision of detections as COCO counts it, by pycocotools."""

import contextlib
import io

import numpy as np

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def coco_ap(truth, found, names):
    """COCO's figures: AP over overlaps 0.5 ... 0.95, at 0.5 and 0.75, of small ... large objects.

    Args:
        truth: list, one dict a picture: `boxes` `(k, 4)`, `labels`, `crowd`, `size` and perhaps
            `area`, which tells small from large; see `Source.objects`. Difficult objects count as
            any other.
        found: list, one dict a picture: `boxes`, `labels`, `scores`; the best 100 count.
        names: of the classes.

    Returns:
        dict of `FIGURES`; None for a size that no object has.

    Raises:
        ImportError: without pycocotools.
        ValueError: where there is no object.
    """
    coco, answers = coco_api(truth, found, names)
    if answers is None:
        return {name: 0.0 for name in FIGURES}
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        judge = COCOeval(coco, answers, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {name: None if value < 0 else float(value)
            for name, value in zip(FIGURES, judge.stats[:6], strict=True)}


def coco_api(truth, found, names):
    """Objects and detections as pycocotools has them: two COCO, the second None without any."""
    if not any(len(row["labels"]) for row in truth):
        raise ValueError("average precision needs an object. Received: none in "
                         f"{len(truth)} pictures")
    try:
        from pycocotools.coco import COCO
    except ImportError:
        raise ImportError("COCO's average precision needs pycocotools: "
                          "pip install 'keras_pretext[detection]'") from None
    objects = [{"image_id": k + 1, "category_id": int(label) + 1, "iscrowd": int(crowd),
                **_rectangle(box, area)}
               for k, row in enumerate(truth) for box, label, crowd, area in zip(
                   row["boxes"], row["labels"], row["crowd"],
                   row.get("area", [None] * len(row["labels"])), strict=True)]
    for k, thing in enumerate(objects, 1):
        thing["id"] = k
    answers = [{"image_id": k + 1, "category_id": int(label) + 1, "score": float(score),
                **_rectangle(box)}
               for k, row in enumerate(found) for box, label, score in zip(
                   row["boxes"], row["labels"], row["scores"], strict=True)]
    coco = COCO()
    coco.dataset = {"images": [{"id": k + 1, "height": int(row["size"][0]),
                                "width": int(row["size"][1])} for k, row in enumerate(truth)],
                    "categories": [{"id": c + 1, "name": name} for c, name in enumerate(names)],
                    "annotations": objects, "info": {}}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        coco.createIndex()
        return coco, coco.loadRes(answers) if answers else None


def _rectangle(box, area=None):
    top, left, bottom, right = np.asarray(box, float).tolist()
    width, height = right - left, bottom - top
    return {"bbox": [left, top, width, height],
            "area": width * height if area is None else float(area)}
