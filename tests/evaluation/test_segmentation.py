"""Confusion matrices by hand, the geometry of the papers' networks, training on easy pictures."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import evaluation
from keras_pretext.backbones import VGG, AlexNet, ResNet, SplitAlexNet
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.fcn import FCN, padded_batch, upsampling
from keras_pretext.evaluation.segmentation import (
    checked_masks,
    confusion_matrix,
    pixel_loss,
    segmentation_scores,
)
from keras_pretext.training.precision import quicker


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def halves(count, seed, size=(40, 56), ignored=True):
    """Dark above, bright below a line that differs from picture to picture."""
    rng = np.random.default_rng(seed)
    line = rng.integers(8, size[0] - 8, count)
    mask = (np.arange(size[0])[None, :, None] >= line[:, None, None]).repeat(size[1], 2)
    images = rng.normal(80, 10, (count, *size, 3)) + 90 * mask[..., None]
    mask = mask.astype("uint8")
    if ignored:
        mask[:, :, :3] = 255
    return ArraySource(images.clip(0, 255).astype("uint8"), name=f"halves{seed}",
                       dense={"mask": mask})


def test_confusion_and_its_figures_by_hand():
    truth = np.array([[0, 0, 1, 1, 1, 3], [9, 9, 0, 1, 3, 3]])
    answer = np.array([[0, 1, 1, 1, 0, 3], [0, 3, 0, 2, 3, 0]])
    confusion = confusion_matrix(truth, answer, 5, ignore=9)
    expected = np.zeros((5, 5), int)
    expected[0, :2], expected[1, :3], expected[3, [0, 3]] = [2, 1], [1, 2, 1], [1, 2]
    np.testing.assert_array_equal(confusion, expected)
    found = segmentation_scores(confusion)
    iou = [2 / 5, 2 / 5, 0, 2 / 3, None]  # class 4 is nowhere, class 2 only in the answer
    assert found["iou"] == pytest.approx(iou)
    assert found["mean_iou"] == pytest.approx((2 / 5 + 2 / 5 + 0 + 2 / 3) / 4)
    assert found["pixel_accuracy"] == pytest.approx(6 / 10)
    assert found["mean_accuracy"] == pytest.approx((2 / 3 + 2 / 4 + 2 / 3) / 3)
    assert found["frequency_weighted_iou"] == pytest.approx((3 * .4 + 4 * .4 + 3 * 2 / 3) / 10)
    json.dumps(found)
    with pytest.raises(ValueError, match="one pixel at least"):
        segmentation_scores(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"0\.\.4, or 9.*Received: \[7\]"):
        confusion_matrix([7], [0], 5, ignore=9)
    with pytest.raises(ValueError, match="one shape"):
        confusion_matrix(np.zeros((2, 3)), np.zeros((3, 2)), 5)


@pytest.mark.parametrize("backbone, kernel, crop", [
    (lambda: AlexNet("caffenet", fc_units=()), 63, 18),
    (lambda: VGG(11), 64, 19)])
def test_crops_are_those_of_the_released_networks(backbone, kernel, crop):
    """fcn.berkeleyvision.org: voc-fcn-alexnet crops from 18 on, voc-fcn32s from 19.

    (Convolutions of a VGG keep the size, so its depth does not matter.)
    """
    net = FCN(backbone(), "pool5", 2, (8,), 6 if kernel == 63 else 7)
    assert net.stride == 32 and (kernel - 1) / 2 - net.offset == crop


@pytest.mark.parametrize("make, tap, stride", [
    (lambda: SplitAlexNet(), "conv3", 16),
    (lambda: ResNet(11, 3, 4, "cifar"), "block3", 4),
    (lambda: AlexNet("rotnet", fc_units=()), "conv5", 16),
    (lambda: VGG(11), "conv4_2", 8)], ids=["split", "resnet", "alexnet", "vgg"])
def test_scores_lie_where_they_look(make, tap, stride):
    """What moves the answer at a pixel lies around it, in networks of branches too."""
    net = FCN(make(), tap, 1, ())
    assert net.stride == stride
    net.model.get_layer("score").kernel.assign(np.ones(net.model.get_layer("score").kernel.shape))
    images = tf.Variable(np.random.default_rng(0).normal(128, 40, (8, 96, 96, 3)), dtype="float32")
    with tf.GradientTape() as tape:
        answer = tf.reduce_sum(net(images)[:, 47:49, 47:49])
    mass = np.abs(tape.gradient(answer, images)).sum((0, 3))
    centre = [np.average(np.arange(96), weights=mass.sum(1 - axis)) for axis in (0, 1)]
    np.testing.assert_allclose(centre, 47.5, atol=0.25 * stride)


@pytest.mark.parametrize("kernel, offset", [(8, -2.5), (7, 1.0)])
def test_upsampling_is_the_fixed_transposed_convolution_and_its_crop(rng, kernel, offset):
    stride, shape, crop = 4, (13, 18), (kernel - 1) / 2 - offset
    scores = rng.normal(size=(2, 7, 9, 1)).astype("float32")
    factor = (kernel + 1) // 2
    centre = factor - 1 if kernel % 2 else factor - 0.5
    side = 1 - np.abs(np.arange(kernel) - centre) / factor  # the released bilinear filler
    full = tf.nn.conv2d_transpose(
        scores, (side[:, None] * side)[..., None, None].astype("float32"),
        (2, 6 * stride + kernel, 8 * stride + kernel, 1), stride, "VALID").numpy()
    crop = int(crop)
    expected = full[:, crop:crop + shape[0], crop:crop + shape[1], 0]
    rows, columns = (numpy(upsampling(n, m, stride, offset)) for n, m in zip(
        shape, (7, 9), strict=True))
    np.testing.assert_allclose(rows @ scores[..., 0] @ columns.T, expected, atol=1e-5)


@pytest.mark.parametrize("flavour", ["rotnet", "caffenet", "colorization"])
def test_no_pixel_is_without_a_score(flavour):
    net = FCN(AlexNet(flavour, fc_units=()), "pool5", 3, (4,), 6)
    net.model.get_layer("score").bias.assign([1.0, 2.0, 3.0])
    for height, width in ((97, 131), (64, 200), (330, 75)):
        scores = numpy(net(tf.zeros((1, height, width, 3), tf.uint8)))
        assert scores.shape == (1, height, width, 3)
        assert (scores.argmax(-1) == 2).all() and scores.min() > 0


@pytest.mark.parametrize("flavour", ["colorization"])
def test_scores_lie_over_what_they_look_at(flavour, rng):
    """The pixels with a gradient surround `stride * k + offset`."""
    net = FCN(AlexNet(flavour, fc_units=()), "pool5", 1)
    net.model.get_layer("score").kernel.assign(np.ones((1, 1, 256, 1)))
    images = tf.constant(rng.uniform(0, 255, (2, 320, 352, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        k = round((160 - net.offset) / net.stride)
        score = tf.reduce_sum(net.model(images)[:, k, k + 1])
    found = np.abs(tape.gradient(score, images).numpy()).sum((0, 3))
    for side, place in ((found.sum(1), k), (found.sum(0), k + 1)):
        seen = np.flatnonzero(side)
        assert abs(seen.min() + seen.max() - 2 * (net.stride * place + net.offset)) <= 8
        assert seen.max() - seen.min() > 120


@pytest.mark.parametrize("make, stride", [
    (lambda: AlexNet("rotnet", (6, 5), image_size=71), 32),
    (lambda: AlexNet("deepcluster", (6, 5), image_size=71), 32),
    (lambda: AlexNet("colorization", (6, 5), image_size=180), 32),
    (lambda: VGG(11, (6, 5), image_size=64), 32)])
def test_fully_connected_layers_of_its_own_are_caffes(make, stride):
    """As voc-fcn-alexnet: pool5 of stride 2, dropout 0.5 after fc6 and after fc7."""
    net = FCN(make(), "fc7", 3)
    inner = next(x for x in net.model.layers if isinstance(x, keras.Model))
    assert [x.name for x in inner.layers if x.name in ("drop6", "fc6", "drop7", "fc7")] == [
        "fc6", "drop7", "fc7"]
    assert net.model.get_layer("drop_fc7").rate == inner.get_layer("drop7").rate == 0.5
    assert net.stride == stride


def test_fully_connected_layers_that_do_not_fit_are_told():
    backbone = AlexNet("colorization", (6, 5), image_size=227)
    with pytest.raises(ValueError, match="covers the whole of pool5.*Received: fc6 of alexnet"):
        FCN(backbone, "fc7", 3)


def test_loss_counts_only_known_pixels(rng):
    scores = rng.normal(size=(1, 2, 3, 4)).astype("float32")
    truth = np.array([[[0, 3, 9], [2, 9, 1]]], np.int32)
    losses, counts = map(numpy, pixel_loss(ignore=9)(truth, scores))
    np.testing.assert_array_equal(counts, truth != 9)
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 2)):
        assert losses[0, y, x] == pytest.approx(-np.log(p[0, y, x, truth[0, y, x]]), rel=1e-4)
    assert np.isfinite(losses).all()


def test_batches_of_several_sizes_are_filled(rng):
    pictures = [np.ones((4, 7, 3), np.uint8), np.ones((6, 5, 3), np.uint8)]
    masks = [np.ones((4, 7), np.int32), np.ones((6, 5), np.int32)]
    images, targets = padded_batch(pictures, masks, 255)
    assert images.shape == (2, 6, 7, 3) and targets.shape == (2, 6, 7)
    assert (targets == 1).sum() == 28 + 30 and (targets[1, :, 5:] == 255).all()
    assert (targets[0, 4:] == 255).all()


def small():
    return AlexNet("rotnet", fc_units=(8, 8), image_size=112)


def test_it_learns_and_leaves_the_network_as_it_is():
    keras.utils.set_random_seed(1)
    backbone, seen = small(), []
    before = [numpy(w).copy() for w in backbone.weights]
    result = evaluation.segmentation(
        backbone, halves(12, 1), halves(5, 2), "conv3", fc_units=(16,), fc_kernel=1, iterations=25,
        batch_size=2, learning_rate=0.02, flip=True, report=lambda *row: seen.append(row))
    assert result.protocol == "long2015-fcn" and result.mean("conv3") > 0.7
    assert result.settings["dtype"] == quicker()
    assert [k for k, _ in seen] == [20, 25] and seen[-1][1] < 0.4
    for old, new in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))
    details, = result.details["conv3"]
    assert details["mean_iou"] == result.mean("conv3") and len(details["iou"]) == 2
    assert result.settings["classes"] == 2 and result.settings["normalize"] is True
    json.dumps(result.to_dict())


def test_bad_input_before_training():
    backbone, good = small(), halves(3, 1)
    images = good.arrays()[0]
    plain = ArraySource(images, name="plain")
    with pytest.raises(ValueError, match="with mask of every pixel.*training.*'plain'"):
        evaluation.segmentation(backbone, plain, good)
    with pytest.raises(ValueError, match="needs two classes"):
        checked_masks(ArraySource(images, dense={"mask": np.zeros((3, 40, 56), int)}), good)
    with pytest.raises(ValueError, match="all pixels of the test split are to be ignored"):
        checked_masks(good, ArraySource(images, dense={"mask": np.full((3, 40, 56), 255)}))
    high = ArraySource(images, dense={"mask": np.full((3, 40, 56), 7)})
    with pytest.raises(ValueError, match=r"0\.\.1.*in the test split.*Received: \[7\]"):
        evaluation.segmentation(backbone, good, high)
    with pytest.raises(ValueError, match="Did you mean 'conv3'"):
        evaluation.segmentation(backbone, good, good, "conv33")
    with pytest.raises(ValueError, match="Did you mean 'iterations'"):
        evaluation.segmentation(backbone, plain, plain, iteration=3)
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        evaluation.segmentation(backbone, good, good, iterations=0)
    with pytest.raises(ValueError, match="begin at pixel.*Received: alexnet"):
        evaluation.segmentation(backbone, good, good, "pool5", fc_units=(8,), fc_kernel=9)
    with pytest.raises(ValueError, match=r"\(3, 40, 56\). Received: int64 \(3, 40, 5\)"):
        ArraySource(images, dense={"mask": np.zeros((3, 40, 5), int)})


def test_a_loss_that_is_not_finite(backbone):
    with pytest.raises(ValueError, match="a lower learning_rate.*Received: 1e[+]25"):
        evaluation.segmentation(backbone, halves(3, 1), halves(3, 1), fc_units=(), iterations=6,
                                learning_rate=1e25, rescaled=False)


def test_masks_of_another_size(monkeypatch):
    good = halves(3, 1)
    monkeypatch.setattr(good, "pixels", lambda kind, k: np.zeros((40 - k, 56), np.uint8))
    with pytest.raises(ValueError, match=r"\(40, 56\). Received: \(39, 56\) of picture 1"):
        checked_masks(good, good)
