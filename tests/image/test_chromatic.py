import keras
import numpy as np

from keras_pretext.image import chromatic, patches


def test_the_projection_is_the_published_matrix_and_forgets_green_against_magenta(rng):
    np.testing.assert_allclose(chromatic.PROJECTION * 6, [[5, 2, -1], [2, 2, 2], [-1, 2, 5]])
    pixels = rng.integers(0, 256, (4, 5, 3)).astype("float32")
    shifted = pixels + rng.normal(size=(4, 5, 1)) * np.array([-1.0, 2.0, -1.0])
    found = chromatic.project(pixels)
    np.testing.assert_allclose(found, pixels @ chromatic.PROJECTION.T, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found, chromatic.project(shifted), atol=1e-3)


def test_one_channel_stays_and_the_others_are_noise_of_a_hundredth(rng):
    x = rng.integers(0, 256, (2, 3, 32, 32, 3)).astype("uint8")
    kept = np.array([[0, 1, 2], [2, 2, 0]], "int32")
    out = np.asarray(chromatic.drop_channels(x, kept, rng.random((2, 3)).astype("float32")))
    for b, k in np.ndindex(2, 3):
        channel = x[b, k, :, :, kept[b, k]].astype("float64")
        np.testing.assert_allclose(out[b, k, :, :, kept[b, k]], channel - channel.mean(), atol=1e-3)
        for other in {0, 1, 2} - {kept[b, k]}:
            noise = out[b, k, :, :, other]
            np.testing.assert_allclose(noise.std(), channel.std() / 100, rtol=0.1)
            assert abs(np.corrcoef(noise.ravel(), channel.ravel())[0, 1]) < 0.15


def test_a_patch_of_one_colour_is_no_nan():
    flat = np.full((1, 1, 8, 8, 3), 9, "uint8")
    out = chromatic.drop_channels(flat, np.zeros((1, 1), "int32"), np.zeros((1, 1), "float32"))
    np.testing.assert_array_equal(out, 0)


def test_pixelation_averages_then_interpolates(rng):
    x = rng.uniform(0, 255, (1, 3, 12, 12, 3)).astype("float32")
    side = np.array([[4, 1, 12]], "int32")
    out = np.asarray(patches.pixelate(keras.ops.convert_to_tensor(x),
                                      keras.ops.convert_to_tensor(side)))
    np.testing.assert_allclose(out[0, 2], x[0, 2], atol=1e-3)  # its own size: as it was
    np.testing.assert_allclose(out[0, 1], np.broadcast_to(x[0, 1].mean((0, 1)), (12, 12, 3)),
                               atol=1e-2)
    small = x[0, 0].reshape(4, 3, 4, 3, 3).mean((1, 3))
    np.testing.assert_allclose(out[0, 0, 1::3, 1::3], small, atol=1e-2)  # at the pixels' centres
    between = (small[1, 0] * 2 + small[2, 0]) / 3
    np.testing.assert_allclose(out[0, 0, 5, 1], between, atol=1e-2)
