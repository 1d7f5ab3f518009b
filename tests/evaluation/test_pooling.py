import math

import keras
import numpy as np
import pytest

from keras_pretext.evaluation.pooling import AdaptiveMaxPooling, pooled_size


def naive(maps, size):
    out = np.zeros((len(maps), size, size, maps.shape[-1]), maps.dtype)
    height, width = maps.shape[1:3]
    for i in range(size):
        for j in range(size):
            rows = slice(math.floor(i * height / size), math.ceil((i + 1) * height / size))
            columns = slice(math.floor(j * width / size), math.ceil((j + 1) * width / size))
            out[:, i, j] = maps[:, rows, columns].max((1, 2))
    return out


@pytest.mark.parametrize("shape, size", [((8, 8), 7), ((13, 13), 6), ((27, 27), 7), ((16, 16), 10),
                                         ((9, 14), 4), ((6, 6), 6), ((5, 7), 1)])
def test_cells_are_those_of_the_papers_code(rng, shape, size):
    maps = rng.normal(size=(2, *shape, 3)).astype("float32")
    out = keras.ops.convert_to_numpy(AdaptiveMaxPooling(size)(maps))
    np.testing.assert_array_equal(out, naive(maps, size))


def test_cells_overlap_where_the_size_does_not_divide():
    # 7 to 3: [0, 3), [2, 5), [4, 7)
    maps = np.array([0, 0, 9, 0, 5, 0, 1], "float32").reshape(1, 7, 1, 1)
    maps = np.repeat(maps, 7, axis=2)
    out = keras.ops.convert_to_numpy(AdaptiveMaxPooling(3)(maps))
    assert out[0, :, 0, 0].tolist() == [9, 9, 5]


def test_smaller_maps_are_left_alone(rng):
    maps = rng.normal(size=(1, 3, 3, 2)).astype("float32")
    np.testing.assert_array_equal(AdaptiveMaxPooling(5)(maps), maps)


@pytest.mark.parametrize("height, channels, side", [
    (55, 64, 12), (27, 192, 7), (13, 384, 5), (13, 256, 6),  # RotNet's AlexNet, 224 pixels
    (16, 96, 10), (8, 192, 7), (1, 20000, 1), (2, 4, 2)])
def test_sizes(height, channels, side):
    assert pooled_size(height, channels) == side


def test_config_comes_back():
    layer = AdaptiveMaxPooling(7)
    assert AdaptiveMaxPooling.from_config(layer.get_config()).size == 7
