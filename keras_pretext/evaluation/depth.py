"""Depth from one picture by a fully convolutional network, and how much of it is right."""

import numpy as np
from keras import ops

from keras_pretext.evaluation.fcn import check_dense, check_options, run_fcn

PROTOCOL = "fcn-nyu-depth"


def depth_accuracy(truth, answer):
    """How many pixels are nearly right: `max(truth / answer, answer / truth) < 1.25 ** k`.

    Args:
        truth, answer: positive numbers `(n,)`, of all valid pixels of all pictures.

    Returns:
        dict: `below_1.25`, `below_1.25^2`, `below_1.25^3`, parts of the pixels.

    Raises:
        ValueError: where there is no pixel, or a number that is not positive.
    """
    truth, answer = (np.asarray(x, np.float64) for x in (truth, answer))
    if not truth.size or truth.shape != answer.shape or not (
            (truth > 0).all() and (answer > 0).all()):
        least = [float(x.min()) for x in (truth, answer) if x.size]
        raise ValueError("depths are positive numbers, at least one, and as many answers. "
                         f"Received: {truth.shape} and {answer.shape}, the least {least}")
    ratio = np.maximum(truth / answer, answer / truth)
    return {f"below_1.25{power}": float((ratio < limit).mean())
            for power, limit in (("", 1.25), ("^2", 1.25**2), ("^3", 1.25**3))}


def valid(depth):
    """Which pixels have a depth: finite and above zero."""
    return np.isfinite(depth) & (depth > 0)


def depth_loss(middle):
    """`loss(depths, scores)` of `run_fcn`: the distance of log depth from `middle` + score."""
    def loss(truth, scores):
        counts = ops.cast(truth > 0, "float32")
        wanted = ops.log(ops.where(truth > 0, truth, 1.0)) - middle
        return ops.abs(wanted - scores[..., 0]), counts

    return loss


def depth(model, train, test, taps=None, **options):
    """`fcn-nyu-depth`: the part of pixels whose depth is right within a factor of 1.25.

    What the task ensemble's third column counts (Doersch & Zisserman, ICCV 2017). A fully
    convolutional network, with the options of `segmentation`, gives the logarithm of each pixel's
    depth, by which it differs from the training pictures' mean; the loss is the absolute
    difference. The paper's decoder and its training are not known in detail (they follow Laina et
    al., 3DV 2016), so this protocol has a name of its own: its numbers do not belong into that
    column.

    Args:
        train, test: sources with depth in metres: nyu_depth_v2 "train" and "validation", or an
            .npz with `depth` `(n, H, W)`. Zero, or not finite, where it is not known.
        taps, options: see `segmentation`.

    Returns:
        ProbeResult with one entry, the tap; `details` has the limits 1.25^2 and 1.25^3 too.

    Raises:
        ValueError: for depths that cannot serve, an unknown tap, a loss that is not finite.
    """
    check_options(options)
    check_dense(train, test, "depth")
    middles = []
    for role, source in (("training", train), ("test", test)):
        means = []
        for k in range(source.num_examples):
            found = source.pixels("depth", k)
            if valid(found).any():
                means.append(np.log(found[valid(found)].astype(np.float64)).mean())
        middles.append(means)
        if not middles[-1]:
            raise ValueError(f"the {role} split has a pixel of known depth, above zero. "
                             f"Received: none in {source.name!r}, split {source.split!r}")
    middle = float(np.mean(middles[0]))

    def target(k, mirrored):
        found = np.asarray(train.pixels("depth", k), np.float32)
        found = np.where(valid(found), found, 0).astype(np.float32)
        return found[:, ::-1] if mirrored else found

    def score(answers):
        truth, ours = [], []
        for k, answer in answers(lambda scores: ops.exp(scores[..., 0] + middle)):
            found = np.asarray(test.pixels("depth", k), np.float32)
            truth.append(found[valid(found)])
            ours.append(answer[valid(found)])
        figures = depth_accuracy(np.concatenate(truth), np.concatenate(ours))
        return figures["below_1.25"], figures

    return run_fcn(PROTOCOL, "pixels within a factor of 1.25", model, train, test, 1, target, 0.0,
                   depth_loss(middle), score, taps, **options)
