import keras
import numpy as np
import pytest
import threadpoolctl

from keras_pretext import backbones
from keras_pretext.backbones import AlexNet, NetworkInNetwork
from keras_pretext.backbones.base import Backbone, normalized
from keras_pretext.evaluation.rescale import (
    absorb_batch_norm,
    convolutions,
    initialize,
    kmeans_filters,
    patches_of,
    rescale,
)
from keras_pretext.layers.grouped_conv import GroupedConv2D


def numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.fixture(autouse=True)
def one_thread():
    """Many threads for tiny k-means wait for each other on a busy machine."""
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture
def images(rng):
    """Smooth noise, so that neighbouring pixels agree as in photographs."""
    coarse = rng.integers(0, 256, (12, 12, 12, 3))
    return coarse.repeat(6, 1).repeat(6, 2)[:, :71, :71].astype("uint8")


class Chain(Backbone):
    """Three small convolutions, one of two groups."""

    def __init__(self, norms=False, name="chain"):
        images = keras.Input((None, None, 3), name="images")
        x = normalized(images, (128, 128, 128), (64, 64, 64))
        for k, (channels, kernel, groups) in enumerate([(8, 5, 1), (12, 3, 2), (10, 3, 1)], 1):
            conv = GroupedConv2D if groups > 1 else keras.layers.Conv2D
            x = conv(channels, kernel, 2, groups=groups, use_bias=not norms, name=f"conv{k}")(x)
            x = keras.layers.BatchNormalization()(x) if norms else x
            x = keras.layers.ReLU()(x)
        super().__init__(images, {"high": (x, 8)}, name=name)
        self.norms = norms

    def get_config(self):
        return {"norms": self.norms, "name": self.name}


def lively(backbone, rng):
    """Statistics, scales and shifts that are not those of a new network."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.moving_mean.shape[0]
            layer.moving_mean.assign(rng.normal(0, 0.3, n))
            layer.moving_variance.assign(rng.uniform(0.5, 2, n))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, n))
            if layer.center:
                layer.beta.assign(rng.normal(0.2, 0.3, n))
    return backbone


@pytest.mark.parametrize("make", [
    lambda: AlexNet("rotnet", fc_units=(16, 12), image_size=71),
    lambda: AlexNet("colorization", fc_units=(), image_size=71),
    lambda: AlexNet("deepcontext", fc_units=(16,), image_size=71),
    lambda: NetworkInNetwork(blocks=2),
    lambda: backbones.get("vgg", depth=11, batch_norm=True)], ids=[
    "rotnet", "grouped, plain", "some layers", "nin", "vgg"])
def test_features_are_the_same_after_absorption(make, images, rng):
    keras.utils.set_random_seed(0)
    backbone = lively(make(), rng)
    bare = absorb_batch_norm(backbone)
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in bare.layers)
    ours, theirs = bare(images[:2]), backbone(images[:2])
    for tap in backbone.taps:
        a, b = numpy(ours[tap]), numpy(theirs[tap])
        assert b.std() > 0.05
        np.testing.assert_allclose(a, b, atol=2e-4 * np.abs(b).max())
    again = type(bare).from_config(bare.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in bare.weights]


def test_the_usual_config_is_as_it_was():
    """Its digest names cached features and published weights."""
    assert "batch_norm" not in AlexNet("rotnet", fc_units=()).get_config()
    assert "batch_norm" not in NetworkInNetwork(blocks=2).get_config()


def naive_ratios(layers, backbone, images, seed):
    """Gradient to weight of each layer by its own tape, for the same noise."""
    import tensorflow as tf

    last = list(backbone.taps)[-1]
    shape = backbone(images)[last].shape
    noise = tf.random.stateless_normal(shape, (seed, 0))
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(backbone(images)[last] * noise)
        gradient = tape.gradient(loss, layer.kernel.value)
        found.append(np.sqrt(np.mean(numpy(gradient) ** 2) / np.mean(numpy(layer.kernel) ** 2)))
    return np.array(found)


def test_ratios_are_equal_the_output_has_deviation_one_and_the_function_is_kept(images, rng):
    keras.utils.set_random_seed(0)
    backbone = Chain()
    layers = convolutions(backbone)
    for k, layer in enumerate(layers):  # wildly different paces, biases that matter
        layer.kernel.assign(layer.kernel * (0.5, 6.0, 1.0)[k])
        layer.bias.assign(rng.normal(0.05, 0.05, layer.bias.shape))
    before = numpy(backbone(images)["high"])
    assert np.ptp(np.log(naive_ratios(layers, backbone, images, 5))) > 1
    found = rescale(backbone, images, seed=5)
    ratios = naive_ratios(layers, backbone, images, 5)
    np.testing.assert_allclose(ratios, list(found["ratios"].values()), rtol=1e-3)
    assert np.ptp(np.log(ratios)) < 0.02  # C_k: the same in all layers
    after = numpy(backbone(images)["high"])
    std = np.mean(after.reshape(-1, after.shape[-1]).std(0))
    assert std == pytest.approx(1, abs=0.011)
    assert found["output_std"] == pytest.approx(std, rel=1e-3)
    np.testing.assert_allclose(after / after.std(), before / before.std(), atol=1e-3)


def test_batches_of_pictures_add_up(images, monkeypatch):
    """Three batches give the deviations that one gives."""
    import sys

    one, three = Chain(), Chain()
    initialize(one, images, "random", seed=1)
    monkeypatch.setattr(sys.modules["keras_pretext.evaluation.rescale"], "BATCH", 5)
    initialize(three, images, "random", seed=1)
    for a, b in zip(one.get_weights(), three.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    found = rescale(three, images)
    assert np.ptp(np.log(list(found["ratios"].values()))) < 0.03
    assert found["output_std"] == pytest.approx(1, abs=0.011)


def test_local_response_normalisation_is_scaled_through(images):
    keras.utils.set_random_seed(0)
    backbone = AlexNet("caffenet", fc_units=(16,), image_size=71)
    found = rescale(backbone, images[:4], iterations=10)
    ratios = np.array(list(found["ratios"].values()))
    assert np.ptp(np.log(ratios)) < 0.1 and found["output_std"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["random", "kmeans"])
def test_initialisation_gives_outputs_deviation_one_about_beta(kind, images):
    backbone = Chain()
    initialize(backbone, images, kind, beta=0.1, seed=3)
    for layer in convolutions(backbone):
        out = numpy(keras.Model(backbone.input, layer.output)(images))
        out = out.reshape(-1, out.shape[-1])
        np.testing.assert_allclose(out.std(0), 1, atol=2e-3)
        np.testing.assert_allclose(out.mean(0), 0.1, atol=2e-3)
    first = numpy(backbone.get_layer("conv2").kernel)
    initialize(backbone, images, kind, seed=3)
    np.testing.assert_array_equal(numpy(backbone.get_layer("conv2").kernel), first)
    initialize(backbone, images, kind, seed=4)
    assert not np.allclose(numpy(backbone.get_layer("conv2").kernel), first)


def test_patches_are_what_the_kernel_meets(images):
    """Rows times the flat kernel are the layer's outputs."""
    backbone = AlexNet("caffenet", fc_units=(), image_size=71)
    layer = backbone.get_layer("conv1")
    maps = numpy(keras.Model(backbone.input, layer.input)(images[:1]))
    rows = patches_of(layer, maps)
    kernel = numpy(layer.kernel)
    out = numpy(keras.Model(backbone.input, layer.output)(images[:1])).reshape(-1, 96)
    np.testing.assert_allclose(rows @ kernel.reshape(-1, 96), out, atol=1e-3)
    assert len(patches_of(layer, maps, limit=7)) == 7


def test_kmeans_filters_find_the_kinds_of_patches(rng):
    """Patches of four kinds: a filter for each answers to its kind most."""
    kinds = np.linalg.qr(rng.normal(size=(20, 4)))[0].T
    which = rng.integers(0, 4, 800)
    patches = 5 + kinds[which] * rng.uniform(2, 3, (800, 1)) + 0.02 * rng.normal(size=(800, 20))
    filters = kmeans_filters(patches, 4)
    answers = (patches - patches.mean(0)) @ filters.T
    winners = [np.bincount(answers[which == k].argmax(1), minlength=4).argmax() for k in range(4)]
    assert sorted(winners) == [0, 1, 2, 3]


def test_bad_input(images):
    normed = Chain(norms=True)
    with pytest.raises(ValueError, match="absorb it first"):
        rescale(normed, images)
    with pytest.raises(ValueError, match="absorb it first"):
        initialize(normed, images)
    bare = Chain()
    with pytest.raises(ValueError, match="cannot be built without.*Received: Chain"):
        absorb_batch_norm(normed)
    with pytest.raises(ValueError, match="random, kmeans. Received: 'pca'"):
        initialize(bare, images, "pca")
    with pytest.raises(ValueError, match=r"two or more. Received: \(1, 71"):
        rescale(bare, images[:1])
    bare.get_layer("conv2").kernel.assign(0 * bare.get_layer("conv2").kernel)
    with pytest.raises(ValueError, match="no gradient.*conv2"):
        rescale(bare, images[:2])
