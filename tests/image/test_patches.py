import keras
import numpy as np

from keras_pretext.image import patches


def test_windows_are_slices(rng):
    images = rng.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    top, left = rng.integers(0, 13, (3, 5)), rng.integers(0, 23, (3, 5))
    found = np.asarray(patches.cut(keras.ops.convert_to_tensor(images), top.astype("int32"),
                                   left.astype("int32"), 8))
    assert found.dtype == np.uint8
    for b in range(3):
        for k in range(5):
            t, s = top[b, k], left[b, k]
            np.testing.assert_array_equal(found[b, k], images[b, t:t + 8, s:s + 8])
    alone = patches.cut(keras.ops.convert_to_tensor(images[1:2]), top[1:2].astype("int32"),
                        left[1:2].astype("int32"), 8)  # of one picture: another way
    np.testing.assert_array_equal(alone[0], found[1])


def test_every_channel_at_its_own_place_and_clamped_inside(rng):
    images = rng.integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    top, left = rng.integers(-3, 9, (2, 4, 3)), rng.integers(-3, 9, (2, 4, 3))
    found = np.asarray(patches.cut(keras.ops.convert_to_tensor(images), top.astype("int32"),
                                   left.astype("int32"), 6))
    for b, k, c in np.ndindex(2, 4, 3):
        t, s = np.clip(top[b, k, c], 0, 6), np.clip(left[b, k, c], 0, 6)
        np.testing.assert_array_equal(found[b, k, :, :, c], images[b, t:t + 6, s:s + 6, c])
    alone = patches.cut(keras.ops.convert_to_tensor(images[1:]), top[1:].astype("int32"),
                        left[1:].astype("int32"), 6)
    np.testing.assert_array_equal(alone[0], found[1])


def test_a_grid_is_in_raster_order():
    top, left = patches.grid_origins(3, 75)
    np.testing.assert_array_equal(top, [0, 0, 0, 75, 75, 75, 150, 150, 150])
    np.testing.assert_array_equal(left, [0, 75, 150] * 3)
