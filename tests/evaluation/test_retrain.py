import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.backbones import AlexNet, NetworkInNetwork
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.retrain import _head


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def pictures(count, seed):
    """Three classes, each bright in its own channel."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 3
    images = rng.normal(90, 25, (count, 16, 16, 3))
    images[np.arange(count), :, :, labels] += 60
    return ArraySource(np.clip(images, 0, 255).astype("uint8"), labels)


def head(backbone, tap, size=71, **config):
    shape = backbone.output[tap].shape
    found = _head({**backbone.get_config(), **config}, type(backbone), tap)
    maps = backbone.extractor(tap).compute_output_shape((None, size, size, 3))
    assert shape[-1] == maps[-1]
    return found(maps[1:], 5, 3, "head")


def test_what_follows_a_tap_is_the_same_architecture():
    backbone = AlexNet("rotnet", fc_units=(12, 10), image_size=71)
    model = head(backbone, "conv4")
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    expected = [tuple(v.shape) for v in backbone.trainable_variables
                if v.path.split("/")[0].startswith(("conv5", "fc"))]
    assert shapes == [*expected, (10, 5), (5,)]
    later = [tuple(v.shape) for v in head(backbone, "conv5").trainable_variables]
    assert later == [*expected[3:], (10, 5), (5,)]


def test_fresh_weights_are_told_by_the_seed_and_not_the_backbones():
    backbone = AlexNet("rotnet", fc_units=(12, 10), image_size=71)
    keras.utils.set_random_seed(1)
    one = head(backbone, "conv4")
    keras.utils.set_random_seed(2)
    other = head(backbone, "conv4")
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(numpy(a), numpy(b))
    dropped = AlexNet("caffenet", fc_units=(40, 40), image_size=71)
    maps = np.abs(np.random.default_rng(0).normal(size=(1, 4, 4, 384))).astype("float32")
    answers = [numpy(head(dropped, "conv4")(maps, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*answers)
    kernel = numpy(one.trainable_variables[0])
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 256)), rel=0.05)
    fc6 = next(numpy(v) for v in one.trainable_variables if v.shape[-1] == 12)
    assert fc6.std() == pytest.approx(np.sqrt(2 / 12), rel=0.05)  # of its units, as in Torch
    assert not np.allclose(kernel, numpy(backbone.get_layer("conv5").kernel))


def test_the_rest_is_trained_and_the_frozen_part_is_not():
    keras.utils.set_random_seed(0)
    backbone = NetworkInNetwork(blocks=3)
    before = [numpy(w).copy() for w in backbone.weights]
    train, test = pictures(60, 1), pictures(30, 2)
    result = evaluation.retrain(backbone, train, test, ["block2", "block3"], seeds=(0,), epochs=6,
                                batch_size=20, flip=False, dtype="float32")
    assert result.protocol == "noroozi2016-nonlinear"
    assert list(result.taps) == ["block2", "block3"] and result.mean("block2") > 0.6
    for old, new in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))


def test_the_schedule_is_the_released_codes_and_fc6_is_dense():
    backbone = AlexNet("colorization", fc_units=(3, 2), image_size=64)
    source = ArraySource(np.zeros((200, 64, 64, 3), np.uint8), np.arange(200) % 2)
    result = evaluation.retrain(backbone, source, source, "conv5", seeds=(0,), epochs=1)
    settings = result.settings
    assert (settings["batch_size"], settings["learning_rate"]) == (192, 0.01)
    assert settings["drops"] == [0.25, 0.5, 0.75] and settings["factor"] == 0.2
    kernels = [x.shape for x in head(backbone, "conv5", 64, caffe_fc=True).trainable_variables]
    assert (2, 2, 256, 3) in kernels and (2, 5) in kernels  # one vector of two numbers


def test_bad_input():
    backbone = AlexNet("rotnet", fc_units=(12, 10), image_size=71)
    source = ArraySource(np.zeros((4, 71, 71, 3), np.uint8), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"freezes up to a convolution.*Received: \['fc6'\]"):
        evaluation.retrain(backbone, source, source, "fc6")
    with pytest.raises(ValueError, match="Did you mean 'conv4'"):
        evaluation.retrain(backbone, source, source, "conf4")
    with pytest.raises(ValueError, match="only AlexNet takes fc_units"):
        evaluation.retrain(NetworkInNetwork(blocks=2), source, source, fc_units=(4,))
