import numpy as np
import pytest

from keras_pretext.image.color import AB_BINS, from_lab, lightness, nearest_bin, to_grey, to_lab


def naive_lab(rgb):
    """The definition, in double precision, a colour at a time."""
    linear = [((v + 0.055) / 1.055) ** 2.4 if v > 0.04045 else v / 12.92 for v in rgb]
    matrix = [(0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169),
              (0.019334, 0.119193, 0.950227)]
    t = [sum(m * v for m, v in zip(row, linear, strict=True)) / white
         for row, white in zip(matrix, (0.95047, 1.0, 1.08883), strict=True)]
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in t)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("rgb, lab", [
    ((1, 1, 1), (100.0, 0.0, 0.0)), ((0, 0, 0), (0.0, 0.0, 0.0)),
    ((1, 0, 0), (53.24, 80.09, 67.20)), ((0, 1, 0), (87.74, -86.18, 83.18)),
    ((0, 0, 1), (32.30, 79.19, -107.86)), ((0.5, 0.5, 0.5), (53.389, 0.0, 0.0)),
])
def test_known_colours(rgb, lab):
    np.testing.assert_allclose(to_lab(np.array(rgb, "float32")), lab, atol=0.01)


def test_lab_is_the_definition_and_goes_back(rng):
    pixels = np.concatenate([rng.random((300, 3)), rng.random((50, 3)) * 0.05]).astype("float32")
    lab = np.asarray(to_lab(pixels))
    np.testing.assert_allclose(lab, [naive_lab(p) for p in pixels.astype(float)], atol=1e-3)
    np.testing.assert_allclose(from_lab(lab), pixels, atol=1e-4)


def test_colours_that_do_not_exist_are_clipped():
    found = np.asarray(from_lab(np.array([[50.0, 110, -110], [0, -90, 90], [100, 100, 0]])))
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


def test_there_are_313_bins_in_the_authors_order():
    assert AB_BINS.shape == (313, 2) and len(np.unique(AB_BINS, axis=0)) == 313
    np.testing.assert_array_equal(AB_BINS[[0, 1, 4, 5, -1]],
                                  [(-90, 50), (-90, 60), (-90, 90), (-80, 20), (100, 0)])
    assert (AB_BINS % 10 == 0).all()
    np.testing.assert_array_equal(np.lexsort((AB_BINS[:, 1], AB_BINS[:, 0])), np.arange(313))
    assert [(AB_BINS[:, 0] == a).sum() for a in (-90, 0, 60, 100)] == [5, 18, 20, 10]


def test_the_nearest_bin(rng):
    np.testing.assert_array_equal(nearest_bin(AB_BINS), np.arange(313))
    ab = rng.uniform(-110, 110, (4, 5, 2)).astype("float32")
    distance = ((ab[..., None, :] - AB_BINS) ** 2).sum(-1)
    np.testing.assert_array_equal(nearest_bin(ab), distance.argmin(-1))


def test_grey():
    picture = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], "uint8")
    found = np.asarray(to_grey(picture))
    assert found.dtype == np.uint8 and found.shape == picture.shape
    np.testing.assert_array_equal(found[0, :, 0], [76, 150, 29, 255])
    assert (found == found[..., :1]).all()


def test_lightness_is_l_of_lab(rng):
    pixels = rng.integers(0, 256, (5, 40, 3)).astype("uint8")
    pixels[0, :20] //= 20
    expected = np.asarray(to_lab(pixels.astype("float32") / 255))[..., 0]
    np.testing.assert_allclose(lightness(pixels), expected, atol=1e-3)
