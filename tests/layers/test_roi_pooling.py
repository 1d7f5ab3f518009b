import math

import keras
import numpy as np
import pytest

from keras_pretext.layers.roi_pooling import RoIPooling


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def naive(maps, boxes, pictures, size, stride):
    """Caffe's layer, loop by loop (Fast R-CNN, released code, roi_pooling_layer.cpp)."""
    _, height, width, channels = maps.shape
    out = np.zeros((len(boxes), size, size, channels), np.float32)
    for n, (box, picture) in enumerate(zip(boxes, pictures, strict=True)):
        y1, x1, y2, x2 = (math.floor(float(v) / stride + 0.5) for v in box)
        high, wide = np.float32(max(y2 - y1 + 1, 1)), np.float32(max(x2 - x1 + 1, 1))
        for i in range(size):
            for j in range(size):
                top = min(max(math.floor(i * (high / np.float32(size))) + y1, 0), height)
                end = min(max(math.ceil((i + 1) * (high / np.float32(size))) + y1, 0), height)
                left = min(max(math.floor(j * (wide / np.float32(size))) + x1, 0), width)
                right = min(max(math.ceil((j + 1) * (wide / np.float32(size))) + x1, 0), width)
                if end > top and right > left:
                    out[n, i, j] = maps[picture, top:end, left:right].max((0, 1))
    return out


def some_boxes(rng, count, side=200):
    boxes = np.sort(rng.uniform(0, side, (count, 2, 2)), 1).reshape(count, 4)
    return boxes.astype("float32"), rng.integers(0, 2, count)


def test_the_exact_pooling_is_the_released_codes(rng):
    maps = rng.normal(size=(2, 13, 9, 5)).astype("float32")
    boxes, pictures = some_boxes(rng, 40)
    boxes[:4] = [[0, 0, 207, 143], [30, 30, 30, 30], [-20, -9, 15, 300], [190, 150, 400, 420]]
    for size in (3, 6):
        ours = numpy(RoIPooling(size, 16, "max")(maps, boxes, pictures))
        np.testing.assert_array_equal(ours, naive(maps, boxes, pictures, size, 16))


def test_the_exact_poolings_gradient_goes_to_the_maxima(rng):
    import tensorflow as tf

    maps = rng.permutation(2 * 12 * 11).astype("float32").reshape(2, 12, 11, 1)
    boxes, pictures = some_boxes(rng, 12, 170)
    weights = rng.normal(size=(12, 4, 4, 1)).astype("float32")
    x = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(RoIPooling(4, 16, "max")(x, boxes, pictures) * weights)
    expected, best = np.zeros(maps.size), naive(maps, boxes, pictures, 4, 16)
    place = {v: k for k, v in enumerate(maps.ravel())}
    clear = {(n, i, j) for n, i, j in np.ndindex(12, 4, 4)}
    for n, i, j in clear:
        expected[place[best[n, i, j, 0]]] += weights[n, i, j, 0]
    empty = naive(maps + 1, boxes, pictures, 4, 16)[..., 0] == 0
    expected[place[0.0]] -= weights[empty].sum()  # 0 of an empty bin is nobody's
    np.testing.assert_allclose(tape.gradient(value, x).numpy().ravel(), expected, atol=1e-4)


def test_crops_sample_a_ramp_where_the_box_is():
    """Features that are their own place in the picture: the pooled ones lie in their bins."""
    stride, offset = 8, 3.0
    y, x = (stride * np.arange(n) + offset for n in (20, 25))
    maps = np.stack(np.broadcast_arrays(y[:, None], x), -1)[None].astype("float32")
    box = np.float32([[27.0, 51.0, 83.0, 135.0]])
    out = numpy(RoIPooling(4, stride, "crop", offset)(maps, box, np.array([0])))[0]
    expected = np.linspace(27, 83, 8)[1::2], np.linspace(51, 135, 8)[1::2]
    np.testing.assert_allclose(out[..., 0], np.tile(expected[0][:, None], 4), rtol=1e-5)
    np.testing.assert_allclose(out[..., 1], np.tile(expected[1], (4, 1)), rtol=1e-5)


def test_which_picture_and_what_is_wrong(rng):
    maps = rng.normal(size=(2, 6, 6, 3)).astype("float32")
    box = np.float32([[0, 0, 95, 95], [0, 0, 95, 95]])
    for method in ("crop", "max"):
        out = numpy(RoIPooling(2, 16, method)(maps, box, np.array([0, 1])))
        alone = numpy(RoIPooling(2, 16, method)(maps[1:], box[1:], np.array([0])))
        np.testing.assert_array_equal(out[1], alone[0])
        assert np.abs(out[0] - out[1]).max() > 0.1
    layer = RoIPooling(2, 16, "max", 1.5)
    assert RoIPooling.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="'crop' or 'max'. Received: 'align'"):
        RoIPooling(2, 16, "align")
    with pytest.raises(ValueError, match="known size"):
        layer(keras.Input((None, None, 3)), keras.Input((4,)), keras.Input((), dtype="int32"))
