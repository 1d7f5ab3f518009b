"""Semantic segmentation by a fully convolutional network (Long et al., CVPR 2015)."""

import numpy as np
from keras import ops

from keras_pretext.evaluation.fcn import check_dense, check_options, run_fcn

PROTOCOL = "long2015-fcn"


def confusion_matrix(truth, answer, classes, ignore=255):
    """int64 `(classes, classes)`: pixels of class r that were called class c.

    Args:
        truth: integers of any shape; pixels of class `ignore` do not count.
        answer: integers of the same shape, in 0..classes - 1.

    Raises:
        ValueError: for shapes that differ, or classes out of range.
    """
    truth, answer = np.asarray(truth), np.asarray(answer)
    if truth.shape != answer.shape:
        raise ValueError("truth and answer have one shape. "
                         f"Received: {truth.shape} and {answer.shape}")
    counted = truth != ignore
    truth, answer = truth[counted].astype(np.int64), answer[counted].astype(np.int64)
    wrong = np.unique(np.concatenate([x[(x < 0) | (x >= classes)] for x in (truth, answer)]))
    if len(wrong):
        raise ValueError(f"classes of pixels are in 0..{classes - 1}, or {ignore} where they do "
                         f"not count. Received: {wrong[:10].tolist()}")
    return np.bincount(truth * classes + answer, minlength=classes**2).reshape(classes, classes)


def segmentation_scores(confusion):
    """The four figures of Long et al. (2015, section 5) from a confusion matrix.

    Returns:
        dict: `mean_iou` over the classes that are in truth or answer (right / (truth + answer -
        right), as in the released code), `iou` of each class (None where it is in neither),
        `pixel_accuracy`, `mean_accuracy` over the classes of the truth, `frequency_weighted_iou`.

    Raises:
        ValueError: where no pixel was counted.
    """
    confusion = np.asarray(confusion, np.float64)
    if not confusion.sum() > 0:
        raise ValueError("a confusion matrix counts one pixel at least. Received: none")
    right, truth, answer = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):
        iou, accuracy = right / (truth + answer - right), right / truth
    return {"mean_iou": float(np.nanmean(iou)),
            "iou": [None if np.isnan(x) else float(x) for x in iou],
            "pixel_accuracy": float(right.sum() / truth.sum()),
            "mean_accuracy": float(np.nanmean(accuracy)),
            "frequency_weighted_iou": float(np.nansum(truth * iou) / truth.sum())}


def checked_masks(train, test, ignore=255, classes=None):
    """The number of classes. Raises ValueError where masks cannot serve; reads them all."""
    check_dense(train, test, "mask")
    seen = []
    for role, source in (("training", train), ("test", test)):
        found = np.zeros(0, np.int64)
        for k in range(source.num_examples):
            found = np.union1d(found, source.pixels("mask", k))
        seen.append(found[found != ignore].astype(int))
        if not len(seen[-1]):
            raise ValueError(f"all pixels of the {role} split are to be ignored ({ignore}). "
                             f"Received: {source.name!r}, split {source.split!r}")
        if len(seen[0]) < 2:
            raise ValueError("segmentation needs two classes or more. "
                             f"Received: {seen[0].tolist()} in {train.name!r}")
        if classes is None:
            classes = int(seen[0].max()) + 1
        wrong = [int(c) for c in seen[-1] if not 0 <= c < classes]
        if wrong:
            raise ValueError(f"classes of pixels are in 0..{classes - 1}, or {ignore} where they "
                             f"do not count; in the {role} split there are others. "
                             f"Received: {wrong[:10]}")
    return classes


def pixel_loss(ignore=255):
    """`loss(truth, scores)` of `run_fcn`: softmax cross-entropy of each pixel."""
    def loss(truth, scores):
        counts = ops.cast(ops.not_equal(truth, ignore), "float32")
        index = ops.where(counts > 0, ops.cast(truth, "int32"), 0)
        chosen = ops.take_along_axis(scores, index[..., None], -1)[..., 0]
        return ops.logsumexp(scores, -1) - chosen, counts

    return loss


def segmentation(model, train, test, taps=None, ignore=255, classes=None, **options):
    """`long2015-fcn`: FCN-AlexNet, and FCN-32s on a VGG; mean intersection over union.

    Pictures, whole and of any size, are padded by 100 pixels; the fully connected layers are
    convolutions; a 1x1 convolution that starts at zero scores the classes; a fixed bilinear
    upsampling brings the scores to the pixels. Everything is trained. FCN-AlexNet: the loss is
    the mean over a picture's pixels, 20 pictures a step, learning rate 1e-4, momentum 0.9;
    FCN-32s: their sum, one picture a step, 1e-10, 0.99; both decay 5e-4 and 100,000 iterations.
    Batches of pictures of several sizes are padded to the largest. Batch normalisation is absorbed
    and the layers rescaled first (`rescaled`). State the split: papers' "VOC 2012" is mostly
    `seg11valid`, 736 pictures.

    Args:
        train, test: sources with masks: a TFDS name with a picture of one channel, or an .npz
            with `mask`.
        taps: what the head sits on, one name; the last tap by default.
        ignore: the class of pixels that do not count.
        classes: how many there are; by default as many as the training masks have.
        fc_units: widths of fully connected layers from random weights after the tap; by default
            none where the tap is one of the backbone's own, else (4096, 4096).
        fc_kernel: side of the first of them: 6, for a VGG 7.
        iterations, batch_size, learning_rate, momentum, decay, normalize (the loss), drops
            (fractions of the run after which the rate is a tenth), flip, seeds, dtype (by default
            the quicker of bfloat16 and float32 on this machine), report: of the training.

    Returns:
        ProbeResult with one entry, the tap; `details` has the other figures, and each class.

    Raises:
        ValueError: for masks that cannot serve, an unknown tap, a loss that is not finite.
    """
    check_options(options)
    classes = checked_masks(train, test, ignore, classes)

    def target(k, mirrored):
        mask = train.pixels("mask", k).astype(np.int32)
        return mask[:, ::-1] if mirrored else mask

    def score(answers):
        confusion = np.zeros((classes, classes), np.int64)
        for k, answer in answers(lambda scores: ops.argmax(scores, -1)):
            confusion += confusion_matrix(test.pixels("mask", k), answer, classes, ignore)
        found = segmentation_scores(confusion)
        return found["mean_iou"], found

    result = run_fcn(PROTOCOL, "mIoU", model, train, test, classes, target, ignore,
                     pixel_loss(ignore), score, taps, **options)
    result.settings.update(classes=classes, ignore=ignore)
    return result
