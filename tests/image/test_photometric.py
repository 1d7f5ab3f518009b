import colorsys

import numpy as np
import tensorflow as tf

from keras_pretext.image import photometric


def test_hsv_is_that_of_colorsys_and_back(rng):
    pixels = rng.random((500, 3), dtype="float32")
    pixels[:4] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]]
    hsv = photometric.to_hsv(tf.constant(pixels)).numpy()
    np.testing.assert_allclose(hsv, [colorsys.rgb_to_hsv(*map(float, p)) for p in pixels],
                               atol=1e-5)
    np.testing.assert_allclose(photometric.from_hsv(tf.constant(hsv)), pixels, atol=1e-5)


def test_hues_are_taken_modulo_one():
    turned = photometric.from_hsv(tf.constant([[-1 / 3, 1.0, 1.0], [5 / 3, 1.0, 1.0]]))
    np.testing.assert_allclose(turned, [[0, 0, 1], [0, 0, 1]], atol=1e-5)


def test_colours_are_scaled_along_their_axes(rng):
    """Along one axis by 2; the projections on the others stay, and so does the mean."""
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pixels, mean = rng.random((2, 4, 5, 3), dtype="float32"), np.array([0.2, 0.4, 0.6])
    found = photometric.scale_axes(tf.constant(pixels), tf.constant([[2.0, 1.0, 1.0], [1, 1, 1]]),
                                   mean, axes).numpy()
    np.testing.assert_allclose(found[1], pixels[1], atol=1e-6)
    before, after = (pixels[0] - mean) @ axes.T, (found[0] - mean) @ axes.T
    np.testing.assert_allclose(after, before * [2, 1, 1], atol=1e-5)


def test_principal_axes_of_known_colours(rng):
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pixels = rng.normal(size=(20000, 3)) * [1, 5, 0.2] @ axes + 100
    mean, found = photometric.principal_axes(len(pixels), pixels.sum(0), pixels.T @ pixels)
    np.testing.assert_allclose(mean, 100, atol=0.2)
    for row, expected in zip(found, axes[[1, 0, 2]], strict=True):
        assert abs(row @ expected) > 0.999
    grey = np.full((10, 3), 7.0)
    np.testing.assert_allclose(
        photometric.principal_axes(10, grey.sum(0), grey.T @ grey)[1], photometric.IMAGENET_AXES)
    np.testing.assert_allclose(np.array(photometric.IMAGENET_AXES) @
                               np.array(photometric.IMAGENET_AXES).T, np.eye(3), atol=1e-3)


def test_bend_and_stretch_by_hand():
    x = tf.constant([[[0.0, 0.25, 1.0]]])
    bent = photometric.bend(x, *(tf.constant([v]) for v in (0.5, 0.8, 0.1)))
    np.testing.assert_allclose(bent, [[[0.1, 0.5, 0.9]]], atol=1e-6)
    pictures = np.full((2, 2, 2, 3), 0.5, "float32")
    pictures[1, 0, 0] = [0.25, 0.5, 0.75]
    found = photometric.stretch(tf.constant(pictures)).numpy()
    np.testing.assert_array_equal(found[0], pictures[0])  # one value only: no NaN
    np.testing.assert_allclose(found[1, 0, 0], [0, 0.5, 1])
