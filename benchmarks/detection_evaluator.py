"""Average precision of boxes by VOC's rules, against pycocotools on the same boxes.

    python benchmarks/detection_evaluator.py [--pictures 1000] [--rounds 5]

pycocotools is given its index and its results; what it is timed for is `evaluate` and `accumulate`
at one overlap, 0.5, all sizes and 100 boxes a picture: what VOC asks, no more. It runs with all ten
overlaps and four sizes, its usual work, beside that.
"""

import argparse
import contextlib
import io
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from _timing import ratio, show, take_turns, verdict

CLASSES = 20


def scene(pictures, rng):
    """Objects and answers as a detector gives them: some right, some twice, most wrong."""
    truth, found = [], []
    for _ in range(pictures):
        count = rng.integers(1, 8)
        corner = rng.uniform(0, 300, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 180, (count, 2))], 1)
        labels = rng.integers(0, CLASSES, count)
        truth.append({"boxes": boxes, "labels": labels, "difficult": np.zeros(count, bool),
                      "crowd": np.zeros(count, bool), "size": (500, 500)})
        again = np.tile(boxes, (3, 1)) + rng.normal(0, 8, (3 * count, 4))
        noise = rng.uniform(0, 300, (30, 2))
        noise = np.concatenate([noise, noise + rng.uniform(20, 180, (30, 2))], 1)
        answers = np.concatenate([again, noise])
        found.append({"boxes": answers, "scores": rng.random(len(answers)),
                      "labels": np.concatenate([np.tile(labels, 3), rng.integers(0, CLASSES, 30)])})
    return truth, found


def main():
    from pycocotools.cocoeval import COCOeval

    from keras_pretext.evaluation.detection.coco_ap import coco_api
    from keras_pretext.evaluation.detection.voc_ap import voc_ap

    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    arguments = parser.parse_args()
    truth, found = scene(arguments.pictures, np.random.default_rng(0))
    names = [str(k) for k in range(CLASSES)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco, answers = coco_api(truth, found, names)

    def judge(whole):
        with contextlib.redirect_stdout(io.StringIO()):
            judge = COCOeval(coco, answers, "bbox")
            if not whole:
                judge.params.iouThrs = np.array([0.5])
                judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
                judge.params.maxDets = [100]
            judge.evaluate()
            judge.accumulate()
        return judge.eval["precision"][0, :, :, 0, -1].mean()

    ours = np.mean([*voc_ap(truth, found, names)["voc10"]["classes"].values()])
    assert abs(ours - judge(False)) < 0.01, (ours, judge(False))

    def timed(function, *given):
        def run():
            function(*given)
            return arguments.pictures
        return run

    rates = take_turns({"voc_ap": timed(voc_ap, truth, found, names),
                        "pycocotools, one overlap": timed(judge, False),
                        "pycocotools, all": timed(judge, True)},
                       arguments.rounds, arguments.seconds)
    print(f"{arguments.pictures} pictures, {sum(len(x['labels']) for x in found)} boxes, "
          f"{CLASSES} classes, {os.cpu_count()} cores")
    show(rates, "pictures/s")
    verdict("voc_ap / pycocotools, one overlap",
            ratio(rates["voc_ap"], rates["pycocotools, one overlap"]), 1)


if __name__ == "__main__":
    main()
