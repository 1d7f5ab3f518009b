import keras
import numpy as np
import pytest

from keras_pretext import backbones
from keras_pretext.layers.sobel import Sobel


def test_it_is_the_numpy_correlation_of_the_mean_channel(rng):
    images = rng.integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    grey = np.pad(images.mean(-1), ((0, 0), (1, 1), (1, 1)))
    across = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    expected = np.zeros((2, 9, 7, 2))
    for y in range(9):
        for x in range(7):
            window = grey[:, y:y + 3, x:x + 3]
            expected[:, y, x, 0] = (window * across).sum((1, 2))
            expected[:, y, x, 1] = (window * across.T).sum((1, 2))
    found = np.asarray(Sobel()(images))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_step_to_the_right_is_negative_in_the_first_map_only():
    images = np.zeros((1, 8, 8, 3), "uint8")
    images[:, :, 4:] = 100
    across, down = np.moveaxis(np.asarray(Sobel()(images))[0, 1:-1, 1:-1], -1, 0)
    assert (across[:, 2:4] == -400).all() and (across[:, :2] == 0).all() and (down == 0).all()


def test_it_trains_nothing_and_its_config_comes_back():
    layer = Sobel(name="edges")
    again = Sobel.from_config(layer.get_config())
    assert again.name == "edges" and again.compute_output_shape((1, 4, 5, 3)) == (1, 4, 5, 2)
    assert layer(np.zeros((1, 4, 5, 3))).shape == (1, 4, 5, 2) and not layer.weights


@pytest.mark.parametrize("name, config", [
    ("alexnet", {"flavour": "deepcluster", "fc_units": ()}), ("vgg", {"depth": 11}),
    ("network_in_network", {"blocks": 2})])
def test_a_backbone_that_sees_edges_takes_rgb_and_ignores_colour(rng, name, config):
    net = backbones.get(name, sobel=True, std=(60.0, 60.0, 60.0), **config)
    first = next(layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.kernel.shape[2] == 2
    images = rng.integers(0, 256, (1, 64, 64, 3)).astype("float32")
    tap = net.extractor([*net.taps][0])
    np.testing.assert_allclose(tap(np.roll(images, 1, -1)), tap(images), atol=1e-3)
    assert abs(np.asarray(tap(images[:, ::-1])) - np.asarray(tap(images))).max() > 0.1
    again = type(net).from_config(net.get_config())
    assert again.sobel is True and again.get_config() == net.get_config()
