import numpy as np
import pytest
from PIL import Image

from keras_pretext.image.halving import FILTERS, halve, kernel

PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR,
          "lanczos": Image.Resampling.LANCZOS, "area": Image.Resampling.BOX}


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_it_is_pillows_resize(rng, name):
    images = rng.integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    found = np.asarray(halve(images, (name,), np.zeros(2, "int32")))
    for image, half in zip(images, found, strict=True):
        for channel in range(3):  # of floats: of bytes, Pillow rounds between its two passes
            theirs = Image.fromarray(image[..., channel].astype("float32")).resize(
                (12, 12), PILLOW[name])
            np.testing.assert_allclose(half[..., channel], np.clip(theirs, 0, 255), atol=0.51)


def test_kernels_by_hand():
    np.testing.assert_allclose(kernel("area", 4), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(kernel("bilinear", 8)[1],
                               np.array([0, 1, 3, 3, 1, 0, 0, 0]) / 8, atol=1e-7)
    for name in FILTERS:
        np.testing.assert_allclose(kernel(name, 64).sum(1), 1, atol=1e-6)


def test_every_picture_has_its_own_filter(rng):
    images = np.repeat(rng.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8), 4, 0)
    names = tuple(FILTERS)
    found = np.asarray(halve(images, names, np.array([3, 1, 0, 2], "int32")))
    assert found.dtype == np.uint8
    for place, which in enumerate((3, 1, 0, 2)):
        alone = np.asarray(halve(images[:1], (names[which],), np.zeros(1, "int32")))[0]
        np.testing.assert_array_equal(found[place], alone)
    assert len({picture.tobytes() for picture in found}) == 4
