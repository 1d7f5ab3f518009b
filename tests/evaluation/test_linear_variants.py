import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.evaluation import linear_variants, pooling, probe
from keras_pretext.evaluation.features import features

QUICK = {"seeds": (0,), "epochs": 2, "batch_size": 40, "flip": False, "dtype": "float32"}


def numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("name, sizes", [
    ("resize", (10, 6, 5, 5, 6)), ("strided_avg", (10, 6, 5, 5, 6)),
    ("tiled_avg", (10, 6, 5, 5, 6)), ("adaptive_9000", (9, 5, 4, 4, 5))])
def test_sizes_of_the_papers_for_alexnet_at_224_pixels(name, sizes):
    """At most 9600 features (9000): 10x10x96, 6x6x256, 5x5x384, 5x5x384, 6x6x256."""
    seen = [(55, 96), (27, 256), (13, 384), (13, 384), (13, 256)]
    for (height, channels), side in zip(seen, sizes, strict=True):
        maps = np.zeros((1, height, height, channels), "float32")
        assert pooling.pooled(maps, name).shape == (1, side, side, channels)


@pytest.mark.parametrize("height, channels, kernel, stride", [
    (55, 96, 19, 4), (27, 256, 12, 3), (13, 384, 9, 1), (13, 256, 8, 1)])
def test_vissls_kernels_and_strides(height, channels, kernel, stride):
    layer = pooling.POOLINGS["strided_avg"](height, channels)
    assert (layer.pool_size, layer.strides) == ((kernel, kernel), (stride, stride))


@pytest.mark.parametrize("height, channels, kernel, pad", [
    (55, 96, 6, 3), (27, 256, 4, 0), (13, 384, 3, 1), (13, 256, 2, 0)])
def test_deepclusters_kernels_and_zeros_that_count(height, channels, kernel, pad, rng):
    maps = rng.normal(size=(1, height, height, channels)).astype("float32")
    ours = numpy(pooling.POOLINGS["tiled_avg"](height, channels)(maps))
    padded = np.pad(maps, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    n = padded.shape[1] // kernel
    tiles = padded[:, :n * kernel, :n * kernel].reshape(1, n, kernel, n, kernel, channels)
    np.testing.assert_allclose(ours, tiles.mean((2, 4)), atol=1e-5)


def test_resizing_is_bilinear_without_antialiasing(rng):
    """Cell k of 5 stands at (k + 1/2) 13 / 5 - 1/2 of 13."""
    maps = rng.normal(size=(2, 13, 13, 384)).astype("float32")
    ours = numpy(pooling.POOLINGS["resize"](13, 384)(maps))
    place = (np.arange(5) + 0.5) * 13 / 5 - 0.5
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(13)), 0)
    expected = np.einsum("yh,bhwc,xw->byxc", weights, maps, weights)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_quadrants_and_pyramid(rng):
    maps = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    quarters = numpy(pooling.POOLINGS["quadrants"](8, 3)(maps))
    np.testing.assert_array_equal(quarters[:, 1, 0], maps[:, 4:, :4].max((1, 2)))
    found = numpy(pooling.POOLINGS["pyramid"](8, 3)(maps))
    expected = [maps[:, i * 8 // n:(i + 1) * 8 // n, j * 8 // n:(j + 1) * 8 // n].max((1, 2))
                for n in (1, 2, 4) for i in range(n) for j in range(n)]
    np.testing.assert_array_equal(found, np.concatenate(expected, 1))


VARIANTS = [("zhang_linear", "zhang2016-linear"), ("deepcluster_linear", "deepcluster2018-linear"),
            ("revisiting_linear", "kolesnikov2019-linear"), ("goyal_linear", "goyal2019-linear")]


@pytest.mark.parametrize("function, protocol", VARIANTS)
def test_a_variant_has_its_own_name_and_learns(function, protocol, backbone, train, test):
    result = getattr(evaluation, function)(backbone, train, test, "high", **{
        **QUICK, "epochs": 20, "learning_rate": 0.1})
    assert result.protocol == protocol and result.mean("high") > 0.6
    assert result.settings["pooling"] in pooling.POOLINGS
    assert isinstance(result.settings["learning_rate"], float)


def test_zhangs_probe_equals_a_naive_one(backbone, hard_train):
    """Plain momentum, BN without scale and shift, the rate a tenth at 2/7, 4/7 and 6/7."""
    maps = np.asarray(features(backbone, hard_train, "high", pooling="resize")["high"], np.float64)
    labels = hard_train.labels()
    result = evaluation.zhang_linear(backbone, hard_train, hard_train, "high", seeds=(0,),
                                     epochs=7, batch_size=24, flip=False, dtype="float32",
                                     learning_rate=0.05)
    weights = numpy(probe.fan_out(0)((maps[0].size, 3))).astype(np.float64)
    bias = np.zeros(3)
    state = [np.zeros_like(weights), np.zeros_like(bias)]
    mean, variance, step = np.zeros(maps.shape[-1]), np.ones(maps.shape[-1]), 0
    for epoch in range(7):
        order, _ = probe.epoch_order(120, 120, 0, epoch, 1)
        for k in range(5):
            rows = np.sort(order[k * 24:(k + 1) * 24])
            x = maps[rows]
            m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
            mean, variance = 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * v
            flat = ((x - m) / np.sqrt(v + 1e-5)).reshape(24, -1)
            p = np.exp(flat @ weights + bias)
            p /= p.sum(1, keepdims=True)
            p[np.arange(24), labels[rows]] -= 1
            rate = 0.05 * 0.1 ** sum(step >= end for end in (10, 20, 30))
            step += 1
            for i, (value, gradient) in enumerate([(weights, flat.T @ p / 24), (bias, p.mean(0))]):
                state[i] = 0.9 * state[i] - rate * (gradient + 5e-4 * value)
                value += state[i]
    flat = ((maps - mean) / np.sqrt(variance + 1e-5)).reshape(120, -1)
    score = ((flat @ weights + bias).argmax(1) == labels).mean()
    assert result.taps["high"]["last"][0] == pytest.approx(score, abs=1e-9)
    assert 0.4 < score < 1


def test_deepclusters_rate_falls_as_in_the_paper_whatever_the_length():
    schedule = linear_variants.InverseRootDecay(0.01, 1e-4, 450410 / 100)
    assert float(schedule(0)) == pytest.approx(0.01)
    assert float(schedule(100)) == pytest.approx(0.01 / np.sqrt(1.45041), rel=1e-5)


def test_an_unknown_pooling_names_the_nearest(backbone, train):
    with pytest.raises(ValueError, match="Did you mean 'adaptive'.*Received: 'adaptve'"):
        features(backbone, train, pooling="adaptve")

def test_networks_of_patches_see_nine_tiles_of_their_size(train, test):
    from keras_pretext import backbones, tasks

    trunk = backbones.get("resnet", flavour="cifar", depth=11)
    for task, tiles, size in (
            (tasks.get("relative_patch", patch=16, gap=8, jitter=1), 3, 48),
            (tasks.get("jigsaw", tile=16, cell=20, permutations=4), 3, 48),
            (tasks.get("rotation", image_size=32), 1, 32)):
        result = evaluation.revisiting_linear(task.attach(trunk), train, test, "block3",
                                              **{**QUICK, "batch_size": 20})
        assert result.settings.get("tiles", 1) == tiles and result.settings["image_size"] == size
