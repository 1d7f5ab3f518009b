import numpy as np
import pytest
from small_backbones import convolved, pixels

from keras_pretext import backbones
from keras_pretext.visualize import attention, attention_maps, rotation_equivariance
from keras_pretext.visualize.attention import spread_taps


@pytest.fixture
def square():
    """2x2: grey 51, red 255, magenta 102 and 204, black."""
    return np.array([[[[51, 51, 51], [255, 0, 0]], [[102, 0, 204], [0, 0, 0]]]], "uint8")


@pytest.mark.parametrize("power, sums", [
    (1, [[0.6, 1.0], [1.2, 0.0]]), (2, [[0.12, 1.0], [0.8, 0.0]]),
    (4, [[0.0048, 1.0], [0.4352, 0.0]])])
def test_maps_are_the_sum_over_channels_of_powers(square, power, sums):
    sums = np.array(sums)
    expected = (sums - sums.min()) / (sums.max() - sums.min())
    np.testing.assert_allclose(attention_maps(pixels(), square, "pixels", power)[0], expected,
                               atol=1e-6)


def test_each_map_is_scaled_by_itself(square):
    both = np.concatenate([square, square // 3])
    maps = attention_maps(pixels(), both, "pixels", 2)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-6)
    assert maps.max() == 1 and maps.min() == 0


def test_a_constant_map_and_a_huge_power_stay_finite(square):
    assert not attention_maps(pixels(), np.zeros_like(square), "pixels", 2).any()
    found = attention_maps(pixels(), square, "pixels", 1000.0)
    np.testing.assert_array_equal(found[0], [[0, 1], [0, 0]])


@pytest.mark.parametrize("power", [0, -1, float("nan"), float("inf"), True])
def test_the_power_is_positive(square, power):
    with pytest.raises(ValueError, match="power is a positive number. Received"):
        attention_maps(pixels(), square, "pixels", power)


def test_an_unknown_tap_names_the_nearest(square):
    with pytest.raises(ValueError, match="Did you mean 'pixels'"):
        attention_maps(pixels(), square, "pixel")


def test_pictures_are_square_bytes(square):
    for wrong in (square[0], square[:0], square[:, :1], square / 2):
        with pytest.raises(ValueError, match="pictures are uint8"):
            attention_maps(pixels(), wrong, "pixels")


@pytest.mark.parametrize("backbone, tap", [
    (pixels, "pixels"), (pixels, "pooled"), (lambda: convolved(np.ones((3, 3))), "out")])
def test_networks_that_know_no_direction_are_equivariant(backbone, tap, pictures):
    found = rotation_equivariance(backbone(), pictures, tap, 2)
    assert found["turned_back"] == pytest.approx(1, abs=1e-5)
    assert found["as_they_are"] < 0.7  # noise is like nothing but itself, but for the border


def test_a_network_that_knows_a_direction_is_not(pictures):
    right = np.zeros((5, 5))
    right[2, 4] = 1  # looks two pixels to its right
    assert rotation_equivariance(convolved(right), pictures, "out")["turned_back"] < 0.5


def test_a_dead_map_has_no_equivariance(pictures):
    found = rotation_equivariance(convolved(np.zeros((3, 3))), pictures, "out")
    assert found == {"turned_back": 0.0, "as_they_are": 0.0}


def test_rows_for_a_sheet(pictures):
    rows = attention(pixels(), pictures[:2], turns=True)
    assert [title for title, _ in rows[1]] == ["90°", "pixels, p = 1", "pooled, p = 2"]
    assert len(rows) == 8 and all(p.shape == (12, 12, 3) and p.dtype == np.uint8
                                  for row in rows for _, p in row)
    np.testing.assert_array_equal(rows[1][0][1], np.rot90(pictures[0]))
    np.testing.assert_array_equal(rows[1][1][1], np.rot90(rows[0][1][1]))
    named = attention(pixels(), pictures[:1], taps=["pooled"], power=3)
    assert [title for title, _ in named[0]] == ["picture 0", "pooled, p = 3"]


def test_default_taps_are_those_with_a_map_to_look_at():
    deep = backbones.get("alexnet", fc_units=(8,), image_size=112)
    assert spread_taps(deep, 112) == ["conv1", "pool2", "conv5"]  # pool5 is 2x2, fc6 1x1
    assert spread_taps(pixels(), 8) == ["pixels", "pooled"]
    assert spread_taps(pixels(), 6) == spread_taps(pixels(), 3) == ["pixels"]


def test_a_trained_networks_attention_turns_with_the_picture():
    from keras_pretext import zoo
    from keras_pretext.data import scenes

    images, _ = scenes.load("test")
    model = zoo.load("rotnet_nin", taps="block1")
    found = rotation_equivariance(model, images[:16], "block1")
    assert found["turned_back"] > max(0.6, found["as_they_are"] + 0.2)
