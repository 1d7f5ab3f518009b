import numpy as np
import pytest

from keras_pretext.data.draws import draws
from keras_pretext.image import masks


def made(kind, count=200, size=64, seed=0):
    numbers = draws(seed, 0, np.arange(count), getattr(masks, kind))
    function = {"BLOCK_DRAWS": masks.random_blocks, "REGION_DRAWS": masks.random_regions}[kind]
    return np.asarray(function(numbers, size)), numbers


def test_the_central_block():
    mask = np.asarray(masks.central_block(2, 10, 4))
    expected = np.zeros((10, 10), bool)
    expected[3:7, 3:7] = True
    np.testing.assert_array_equal(mask, [expected] * 2)


def test_random_regions_cover_20_to_30_percent_exactly_as_drawn():
    mask, numbers = made("REGION_DRAWS")
    assert mask.shape == (200, 64, 64) and mask.dtype == bool
    np.testing.assert_array_equal(mask.sum((1, 2)),
                                  np.floor((0.2 + 0.1 * numbers[:, 1]) * 4096))
    assert abs(mask.mean((1, 2)) - 0.25).max() <= 0.051
    assert len({m.tobytes() for m in mask}) == 200  # a mask for each picture


def test_random_regions_are_shapes_and_not_specks_and_lie_anywhere():
    mask, _ = made("REGION_DRAWS", 300, 128)
    changes = (mask[:, 1:] != mask[:, :-1]).mean()
    assert changes < 0.05  # white noise of this area: 0.375
    assert abs(mask.mean(0) - 0.25).max() < 0.15  # no place is spared or preferred


def test_the_field_is_the_cubic_enlargement_of_the_noise():
    """Against a naive sum over the 16 neighbours, at the place that the draws say."""
    def keys(x):
        x = abs(x)
        return (1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else
                -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0)

    weights = np.asarray(masks._cubic(np.float32([1.3]), 40, 8))[0]
    for pixel in (0, 17, 39):
        place = 1.3 + (pixel + 0.5) * 0.06
        np.testing.assert_allclose(weights[pixel], [keys(place - c) for c in range(8)], atol=1e-5)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)  # nothing is cut off


def test_blocks_by_hand():
    numbers = np.full((1, 4, 3), 0.999999, "float32")  # three of them in the last corner
    numbers[0, 0] = (0.0, 0.0, 0.5)  # the smallest, at the top, in the middle
    mask = np.asarray(masks.random_blocks(numbers.reshape(1, 12), 64))[0]
    expected = np.zeros((64, 64), bool)
    expected[:8, 28:36] = True
    expected[48:, 48:] = True
    np.testing.assert_array_equal(mask, expected)


def test_blocks_cover_at_most_a_quarter():
    mask, _ = made("BLOCK_DRAWS", 500)
    area = mask.mean((1, 2))
    assert area.max() <= 0.25 and area.min() >= 1 / 64 and 0.08 < area.mean() < 0.2
    assert len({m.tobytes() for m in mask}) == 500


@pytest.mark.parametrize("pixels", [0, 1, 3])
def test_grown(pixels, rng):
    mask = rng.random((2, 12, 15)) < 0.03
    expected = mask.copy()
    for k, y, x in np.argwhere(mask):
        expected[k, max(0, y - pixels):y + pixels + 1, max(0, x - pixels):x + pixels + 1] = True
    np.testing.assert_array_equal(masks.grown(mask, pixels), expected)
