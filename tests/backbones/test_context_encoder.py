import keras
import numpy as np
import pytest

from keras_pretext import backbones


def test_the_papers_shapes():
    model = backbones.get("context_encoder")
    shapes = {n: t.shape for n, t in model.extractor()(keras.Input((128, 128, 3))).items()}
    assert shapes == {f"conv{k}": (None, side, side, width) for k, (side, width) in enumerate(
        ((64, 64), (32, 64), (16, 128), (8, 256), (4, 512)), 1)} | {
            "bottleneck": (None, 1, 1, 4000)}
    assert [tap.stride for tap in model.taps.values()] == [2, 4, 8, 16, 32, 32]
    weights = 16 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 4000)
    assert model.count_params() == weights + 4 * (64 + 128 + 256 + 512 + 4000)


def test_padding_normalisation_and_slope_by_hand(rng):
    model = backbones.get("context_encoder", channels=(4,), bottleneck=None)
    images = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    padded = np.pad(images / 127.5 - 1, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.asarray(model.get_layer("conv1").kernel)
    expected = np.zeros((2, 4, 4, 4))
    for y, x in np.ndindex(4, 4):
        expected[:, y, x] = np.einsum("bijc,ijcn->bn", padded[:, 2 * y:2 * y + 4, 2 * x:2 * x + 4],
                                      kernel)
    expected = np.where(expected > 0, expected, 0.2 * expected)
    np.testing.assert_allclose(model(images)["conv1"], expected, atol=1e-5)
    assert list(model.taps) == ["conv1"] and "conv1_bn" not in [la.name for la in model.layers]


def test_first_weights():
    keras.utils.set_random_seed(0)
    model = backbones.get("context_encoder", channels=(64, 128), bottleneck=300)
    assert np.std(model.get_layer("conv2").kernel) == pytest.approx(0.02, rel=0.02)
    gamma = np.asarray(model.get_layer("bottleneck_bn").gamma)
    assert gamma.mean() == pytest.approx(1, abs=0.01)
    assert gamma.std() == pytest.approx(0.02, rel=0.2)
    again = type(model).from_config(model.get_config())
    assert again.get_config() == model.get_config()


@pytest.mark.parametrize("options", [{"channels": ()}, {"bottleneck": 0}, {"channels": (0, 3)}])
def test_bad_options(options):
    with pytest.raises(ValueError, match="at least 1. Received"):
        backbones.get("context_encoder", **options)
