import keras
import numpy as np
import pytest

from keras_pretext import data, evaluation
from keras_pretext.backbones import VGG, AlexNet, NetworkInNetwork
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.voc_classification import network, sigmoid_loss
from keras_pretext.image.framing import RescaleCrop


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def several(count, seed, classes=3, difficult=0.1):
    """Each class that a picture shows brightens one channel of its 16 x 16 pixels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, classes)) < 0.4).astype(int)
    images = rng.normal(70, 30, (count, 16, 16, 3)) + 90 * labels[:, None, None, :]
    labels[(labels == 1) & (rng.random(labels.shape) < difficult)] = -1
    return ArraySource(np.clip(images, 0, 255).astype("uint8"), name=f"several{seed}",
                       multi_labels=labels)


def test_loss_is_summed_over_classes_and_leaves_out_the_difficult(rng):
    labels = np.array([[1, 0, -1], [-1, -1, -1]])
    logits = rng.normal(size=(2, 3)).astype("float32") * 3
    p = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
    expected = [-np.log(p[0]) - np.log(1 - p[1]), 0.0]
    np.testing.assert_allclose(numpy(sigmoid_loss(labels, logits)), expected, rtol=1e-5)
    huge = numpy(sigmoid_loss(np.array([[1, 0]]), np.float32([[-1e4, 1e4]])))
    np.testing.assert_allclose(huge, [2e4])


@pytest.mark.parametrize("row, trained", [
    ("fc8", ["fc8"]), ("fc6-8", ["fc6", "fc7", "fc8"]),
    ("all", ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]),
    ("conv1", ["conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]),
    ("conv4", ["conv5", "fc6", "fc7", "fc8"])])
def test_what_is_trained_in_a_row(row, trained):
    backbone = AlexNet("rotnet", fc_units=(6, 5), image_size=71)
    model = network(backbone, row, 4, image_size=71)
    found = [v.path.split("/")[-2].removesuffix("_bn") for v in model.trainable_variables]
    assert list(dict.fromkeys(found)) == trained
    for layer in backbone.layers:  # a copy with the same weights
        assert layer.trainable
    kernel = model.get_layer("fc8").kernel
    assert kernel.shape == (5, 4) and numpy(model.get_layer("fc8").bias) == pytest.approx(0.1)


@pytest.mark.parametrize("flavour, side", [("rotnet", 71), ("caffenet", 71), ("deepcluster", 71),
                                           ("colorization", 180)])
def test_every_alexnet_gets_caffes_fully_connected_layers(flavour, side):
    """fc8 reads one vector, and dropout follows fc6 and fc7: not pool5, not nothing."""
    backbone = AlexNet(flavour, fc_units=(6, 5), image_size=side)
    model = network(backbone, "all", 4, image_size=side)
    assert model.get_layer("fc8").kernel.shape == (5, 4)
    inner = next(x for x in model.layers if isinstance(x, keras.Model))
    order = [x.name for x in inner.layers]
    after = order[order.index("pool5") + 1:]
    assert [n for n in after if n.startswith(("fc", "drop")) and "_" not in n] == [
        "fc6", "drop7", "fc7"]
    outer = [x for x in model.layers if isinstance(x, keras.layers.Dropout)]
    assert [x.rate for x in outer] == [0.5] and inner.get_layer("drop7").rate == 0.5
    for name in ("conv5", "fc6", "fc7"):
        np.testing.assert_array_equal(numpy(inner.get_layer(name).kernel),
                                      numpy(backbone.get_layer(name).kernel))


def test_dropout_is_told_by_the_seed(rng):
    backbone = AlexNet("caffenet", fc_units=(60, 50), image_size=71)
    images = rng.integers(0, 256, (1, 71, 71, 3)).astype("uint8")
    one, again, other = (numpy(network(backbone, "all", 4, image_size=71, seed=seed)(
        images, training=True)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    kept = network(backbone, "all", 4, image_size=71, seed=3)
    assert not np.allclose(one, numpy(kept(images, training=False))) and not (one == other).any()


def test_a_vgg_gets_dropout_after_fc6_and_fc7():
    backbone = VGG(11, (6, 5), image_size=32)
    model = network(backbone, "all", 4, image_size=32)
    inner = next(x for x in model.layers if isinstance(x, keras.Model))
    assert [x.name for x in inner.layers if x.name in ("fc6", "drop7", "fc7")] == [
        "fc6", "drop7", "fc7"]
    assert model.get_layer("drop_fc7").rate == 0.5


def test_the_copy_starts_from_the_backbones_weights(rng):
    backbone = AlexNet("rotnet", fc_units=(), image_size=71)
    model = network(backbone, "all", 3, fc_units=(6, 5), image_size=71, seed=4)
    images = rng.integers(0, 256, (2, 71, 71, 3)).astype("uint8")
    extractor = next(x for x in model.layers if isinstance(x, keras.Model))
    ours = keras.Model(extractor.input, extractor.get_layer("conv5_relu").output)(images)
    np.testing.assert_allclose(numpy(ours), numpy(backbone(images)["conv5"]), atol=1e-4)


def test_fc8_leaves_the_network_as_it_is_and_all_does_not():
    train = several(40, 1)
    backbone = NetworkInNetwork(blocks=2)
    before = [numpy(w).copy() for w in backbone.weights]
    result = evaluation.voc_classification(
        backbone, train, several(30, 2), row="fc8", iterations=150, crops=2, crop=16,
        learning_rate=0.05, dtype="float32")
    assert result.protocol == "krahenbuhl2015-voc07-cls" and result.mean("fc8") > 0.6
    for old, new in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))
    rules = result.details["fc8"][0]
    assert set(rules) == {"seed", "pr_area", "voc07", "voc10"}
    assert result.taps["fc8"]["last"] == [rules["pr_area"]["mean"]]
    assert result.settings["rescale"]["output_std"] == pytest.approx(1, abs=0.3)


def test_framing_rescales_by_the_drawn_factor():
    framing = RescaleCrop(10, (0.5, 2.0), crop=100)
    draws = np.array([[0.0, 0.0, 0.0], [1 / 3, 0.999, 0.5], [0.999999, 0.0, 0.999]], "float32")
    top, left, side, again = (numpy(x) for x in framing.window(
        np.int32([300] * 3), np.int32([400] * 3), draws))
    np.testing.assert_array_equal(side, [200, 100, 50])  # 100 / s
    np.testing.assert_array_equal(side, again)
    np.testing.assert_array_equal(top, [0, 200, 0])
    np.testing.assert_array_equal(left, [0, 150, 350])
    cut = numpy(framing.window(np.int32([80]), np.int32([90]), draws[:1])[2])
    assert cut == [80]  # no more than there is
    with pytest.raises(ValueError, match="positive factors"):
        RescaleCrop(10, (0, 1))


def test_bad_input_before_training():
    source = several(20, 1)
    backbone = NetworkInNetwork(blocks=2)
    with pytest.raises(ValueError, match="needs taps pool5 and fc6.*Received: network_in_network"):
        evaluation.voc_classification(backbone, source, source, row="fc6-8")
    with pytest.raises(ValueError, match="Did you mean 'block1'"):
        evaluation.voc_classification(backbone, source, source, row="blok1")
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        evaluation.voc_classification(backbone, source, source, iterations=0)
    plain = ArraySource(np.zeros((4, 16, 16, 3), np.uint8), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="such as voc/2007"):
        evaluation.voc_classification(backbone, plain, plain)
    full = AlexNet("rotnet", fc_units=(6,), image_size=71)
    with pytest.raises(ValueError, match="pool5 at 71 pixels.*Received: 64"):
        evaluation.voc_classification(full, source, source, image_size=64)
    dilated = AlexNet("colorization", fc_units=(6,), image_size=71)  # its kernel is 6x6 always
    with pytest.raises(ValueError, match="3x3 features.*Received: fc6.*kernel of 6x6"):
        network(dilated, "all", 3, image_size=71)


def test_protocols_go_by_their_names():
    assert evaluation.protocol("zhang2016-linear") is evaluation.zhang_linear
    assert evaluation.protocol("voc_classification") is evaluation.voc_classification
    with pytest.raises(ValueError, match="Did you mean 'noroozi2016-nonlinear'"):
        evaluation.protocol("norozi2016-nonlinear")


def test_end_to_end_on_the_raccoons_and_kangaroos(real_data):
    """Pictures of all sizes, cropped while they are decoded; nothing is learnt in three steps."""
    train, test = (data.open(real_data / "tfds" / "raccoon_kangaroo", split)
                   for split in ("train", "test"))
    seen = []
    result = evaluation.voc_classification(
        NetworkInNetwork(blocks=2), train, test, row="fc8", iterations=3, crops=1, image_size=32,
        rescaled=False, dtype="float32", report=lambda *row: seen.append(row))
    assert 0.2 < result.mean("fc8") < 1 and [k for k, _ in seen] == [3]
    assert set(result.details["fc8"][0]["voc07"]["classes"]) == {"kangaroo", "raccoon"}
