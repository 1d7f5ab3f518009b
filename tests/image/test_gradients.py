import numpy as np
import pytest

from keras_pretext.image import gradients
from keras_pretext.image.geometry import rotate_quarter, sample, turned_square


def naive_energy(image, patch):
    """At scale 1, by loops."""
    step = patch // 8
    rows, columns = image.shape[0] // step, image.shape[1] // step
    cells = np.array([[image[r * step:(r + 1) * step, c * step:(c + 1) * step].sum(-1).mean()
                       for c in range(columns)] for r in range(rows)], "float64")
    bell = np.exp(-np.arange(-60, 61) ** 2 / 8.0)  # a deviation of 2 cells

    def mean(values, r, c):
        weights = np.outer(bell[60 - r:60 - r + rows], bell[60 - c:60 - c + columns])
        return (weights * values).sum() / weights.sum()

    high = np.array([[cells[r, c] - mean(cells, r, c)
                      for c in range(columns)] for r in range(rows)]) ** 2
    half = np.exp(-(np.arange(8) - 3.5) ** 2 / 8.0)
    weights = np.outer(half, half) / half.sum() ** 2
    return np.array([[(high[r:r + 8, c:c + 8] * weights).sum() for c in range(columns - 7)]
                     for r in range(rows - 7)])


def test_energy_by_loops(rng):
    images = rng.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    found = gradients.energy(images, 32, 1.0)
    assert found.shape == (2, 3, 7)
    np.testing.assert_allclose(found[1], naive_energy(images[1].astype("f8"), 32), rtol=1e-3)


def test_flat_and_small_pictures_have_no_energy():
    assert not gradients.energy(np.full((1, 64, 64, 3), 77, np.uint8), 32, 0.8).any()
    assert gradients.energy(np.zeros((3, 64, 60, 3), np.uint8), 32, 0.512).shape == (3, 0, 0)
    assert gradients.energy(np.zeros((3, 32, 32, 3), np.uint8), 32, 1.0).shape == (3, 1, 1)


def test_pictures_are_drawn_by_energy_once_each_and_scales_evenly(rng):
    energies = np.zeros((4000, 4))
    energies[:, 1:] = rng.random((4000, 1)) * 10
    energies[:2000] *= 3  # three times as much
    pictures, scales = gradients.draw_pictures(energies, 300, rng)
    assert len(set(pictures.tolist())) == 300
    assert 0.65 < (pictures < 2000).mean() < 0.85  # three of four
    counts = np.bincount(scales, minlength=4)
    assert counts[0] == 0 and (abs(counts[1:] - 100) < 35).all()
    every, _ = gradients.draw_pictures(energies, 4000, rng)
    np.testing.assert_array_equal(np.sort(every), np.arange(4000))


@pytest.mark.parametrize("scale", gradients.SCALES)
def test_windows_lie_where_the_gradient_is_and_in_the_picture(rng, scale):
    image = np.full((128, 160, 3), 90, np.uint8)
    image[90:100, 20:30] = rng.integers(0, 256, (10, 10, 3))
    for _ in range(20):
        top, left, side = gradients.draw_window(image, 32, scale, rng)
        assert side == np.float32(32 / scale)
        assert 0 <= top and top + side <= 128.001 and 0 <= left and left + side <= 160.001
        middle = np.array([top, left]) + side / 2
        assert (abs(middle - [95, 25]) < 20 / scale).all()


def test_sampling_whole_turned_and_half_pixels(rng):
    images = rng.integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    middle, nine = np.full(2, 4.0, "f4"), np.full(2, 9.0, "f4")
    for turns in range(4):  # counter-clockwise, as numpy.rot90
        places = turned_square(middle, middle, nine, np.full(2, 90.0 * turns, "f4"), 9)
        np.testing.assert_allclose(sample(images, *places), rotate_quarter(images, turns),
                                   atol=1e-3)
    rows, columns = np.full((2, 1, 1), 2.5, "f4"), np.full((2, 1, 1), 3.25, "f4")
    block = images[:, 2:4, 3:5].astype("f4").mean(1)
    np.testing.assert_allclose(np.asarray(sample(images, rows, columns))[:, 0, 0],
                               0.75 * block[:, 0] + 0.25 * block[:, 1], atol=1e-4)
    np.testing.assert_array_equal(sample(images, rows + 50, columns - 50)[:, 0, 0], images[:, 8, 0])
