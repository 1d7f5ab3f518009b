import numpy as np
import pytest

from keras_pretext.image import color_codes
from keras_pretext.image.color import AB_BINS, grey_of_lightness, lightness, to_lab


def searched(ab, neighbours, sigma=5.0):
    """The definition: dense soft targets of colours `(n, 2)`, by a search."""
    out = np.zeros((len(ab), 313))
    for target, colour in zip(out, ab.astype(float), strict=True):
        squared = ((AB_BINS - colour) ** 2).sum(1)
        near = np.argsort(squared, kind="stable")[:neighbours]
        weights = np.exp(-squared[near] / (2 * sigma**2))
        target[near] = weights / weights.sum()
    return out


def dense(indices, weights):
    out = np.zeros((*indices.shape[:-1], 313))
    np.put_along_axis(out, np.asarray(indices), np.asarray(weights), -1)
    return out


@pytest.fixture
def colours(rng):
    pixels = rng.integers(0, 256, (2000, 3)).astype("float32") / 255
    return np.asarray(to_lab(pixels))[:, 1:]


def test_codes_are_unit_squares(colours):
    codes = np.asarray(color_codes.to_codes(colours))
    assert codes.dtype == np.int32 and codes.min() >= 0
    back = np.asarray(color_codes.from_codes(codes))
    assert abs(back - colours).max() <= 0.5 + 1e-4
    np.testing.assert_array_equal(color_codes.to_codes(back), codes)
    a, b = (np.asarray(color_codes.to_codes(np.array([ab], "float32")))[0]
            for ab in ((3.2, -7.9), (-500.0, 500.0)))
    assert a == 113 * 220 + 102 and b == 219  # beyond the plane: its edge


@pytest.mark.parametrize("neighbours", [1, 5, 10])
def test_the_table_is_the_search_in_the_middle_of_each_square(colours, neighbours):
    codes = color_codes.to_codes(colours)
    indices, weights = color_codes.soft_encoding(codes, neighbours)
    assert indices.shape == weights.shape == (2000, neighbours)
    middle = np.asarray(color_codes.from_codes(codes))
    np.testing.assert_allclose(dense(indices, weights), searched(middle, neighbours), atol=1e-6)
    np.testing.assert_allclose(np.asarray(weights).sum(-1), 1.0, atol=1e-6)
    assert (np.diff(np.asarray(weights)) <= 1e-7).all()  # the nearest first


def test_the_table_is_near_the_search_and_its_nearest_bin_the_same(colours):
    found = dense(*color_codes.soft_encoding(color_codes.to_codes(colours)))
    exact = searched(colours, 5)
    np.testing.assert_array_equal(found.argmax(-1), exact.argmax(-1))
    assert abs(found - exact).max() < 0.08 and abs(found - exact).sum(-1).mean() < 0.07


def test_the_annealed_mean(rng):
    logits = rng.normal(size=(4, 3, 313)).astype("float32") * 3
    for temperature in (1.0, 0.38, 0.05):
        power = np.exp(logits.astype(float) / temperature)
        mean = (power / power.sum(-1, keepdims=True)) @ AB_BINS
        np.testing.assert_allclose(color_codes.annealed_mean(logits, temperature), mean, atol=1e-3)
    mode = AB_BINS[logits.argmax(-1)]
    np.testing.assert_array_equal(color_codes.annealed_mean(logits, 0), mode)
    np.testing.assert_allclose(color_codes.annealed_mean(logits, 1e-3), mode, atol=0.1)
    sharp = color_codes.annealed_mean(logits * 1e4, 0.38)  # T-25: no overflow
    np.testing.assert_allclose(sharp, mode, atol=1e-3)


def test_pixels_are_taken_not_averaged_and_grey_is_found(rng):
    images = rng.integers(0, 256, (3, 9, 10, 3)).astype("uint8")
    images[1] = images[1, ..., :1]
    images[2] = [120, 119, 121]  # |a|, |b| about 1
    ab = np.asarray(color_codes.sparse_ab(images, 4))
    assert ab.shape == (3, 3, 3, 2)
    expected = np.asarray(to_lab(images[0, 8, 4].astype("float32") / 255))[1:]
    np.testing.assert_allclose(ab[0, 2, 1], expected, atol=1e-4)
    assert np.asarray(color_codes.without_colour(ab)).tolist() == [False, True, True]


def test_the_grey_has_the_lightness_of_the_colour(rng):
    images = rng.integers(0, 256, (20, 50, 3)).astype("uint8")
    images[0] //= 30
    grey = np.asarray(grey_of_lightness(images))
    assert grey.dtype == np.uint8 and grey.shape == (20, 50, 1)
    again = np.repeat(grey, 3, -1)
    assert abs(np.asarray(lightness(again)) - np.asarray(lightness(images))).max() < 0.23
    np.testing.assert_array_equal(grey_of_lightness(again), grey)
