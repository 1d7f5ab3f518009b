import numpy as np

from keras_pretext.layers.patch_standardization import PatchStandardization

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def test_inside_the_backbone_every_channel_of_every_patch_has_mean_0_and_deviation_1(rng):
    patches = (rng.normal(90, 20, (2, 9, 16, 16, 3)) * rng.uniform(0.5, 1.5, (2, 9, 1, 1, 3)))
    patches = np.clip(patches, 0, 255).astype("uint8")
    inside = (np.asarray(PatchStandardization(MEAN, STD)(patches)) - MEAN) / STD
    np.testing.assert_allclose(inside.mean((2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(inside.std((2, 3)), 1, atol=1e-3)
    x = patches.astype("float64")
    expected = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)
    np.testing.assert_allclose(inside, expected, atol=1e-3)


def test_one_colour_becomes_the_mean_and_nothing_is_nan():
    patches = np.full((1, 8, 8, 3), 7, "uint8")
    np.testing.assert_allclose(PatchStandardization(MEAN, STD)(patches)[0, 0, 0], MEAN)


def test_only_the_mean(rng):
    patches = rng.integers(0, 256, (3, 8, 8, 3)).astype("uint8")
    found = np.asarray(PatchStandardization(MEAN, STD, scale=False)(patches))
    expected = patches - patches.mean((1, 2), keepdims=True) + MEAN
    np.testing.assert_allclose(found, expected, atol=1e-3)
