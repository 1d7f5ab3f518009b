import keras
import numpy as np
import pytest

from keras_pretext import backbones


@pytest.mark.parametrize("blocks", [3, 4, 5])
def test_parameters_are_those_of_the_papers_layers(blocks):
    """Gidaris et al. (2018), section 3.1 and code: no biases, BN's four numbers a channel."""
    units = [(5, 3, 192), (1, 192, 160), (1, 160, 96), (5, 96, 192), (1, 192, 192), (1, 192, 192)]
    units += [(3, 192, 192), (1, 192, 192), (1, 192, 192)] * (blocks - 2)
    count = sum(k * k * a * b + 4 * b for k, a, b in units)
    assert backbones.get("network_in_network", blocks=blocks).count_params() == count
    if blocks == 4:
        assert count == 1_414_720


def test_maps_of_a_32_pixel_picture():
    model = backbones.get("network_in_network", blocks=5)
    outputs = model(np.zeros((2, 32, 32, 3), "uint8"))
    assert {n: tuple(t.shape[1:]) for n, t in outputs.items()} == {
        "block1": (16, 16, 96), "block2": (8, 8, 192), "block3": (8, 8, 192),
        "block4": (8, 8, 192), "block5": (8, 8, 192)}
    assert [t.stride for t in model.taps.values()] == [2, 4, 4, 4, 4]
    assert [t.channels for t in model.taps.values()] == [96, 192, 192, 192, 192]


@pytest.mark.parametrize("block, counted", [(1, np.max), (2, lambda w: np.sum(w) / 9)])
def test_pooling_pads_every_side_and_averages_count_the_border(block, counted, rng):
    """As Torch: a window at the corner of block 2 divides its four pixels' sum by nine."""
    model = backbones.get("network_in_network", blocks=2)
    named = {layer.name: layer for layer in model.layers}
    extract = keras.Model(model.input, [named[f"block{block}_relu3"].output,
                                        named[f"block{block}_pool"].output])
    image = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    x, found = (np.asarray(t, np.float64)[0, :, :, 5] for t in extract(image))
    padded = np.pad(x, 1)
    side = found.shape[0]
    expected = [[counted(padded[2 * i:2 * i + 3, 2 * j:2 * j + 3]) for j in range(side)]
                for i in range(side)]
    assert side == x.shape[0] // 2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_pictures_are_normalised_inside():
    model = backbones.get("network_in_network", blocks=2, mean=(10, 20, 30), std=(2, 4, 8))
    inside = {layer.name: layer for layer in model.layers}["normalize"]
    picture = np.array([12, 28, 14], "float32") * np.ones((1, 4, 4, 3), "float32")
    np.testing.assert_allclose(inside(picture)[0, 0, 0], [1, 2, -2], rtol=1e-5)


def test_batch_normalisation_has_torchs_constants():
    for layer in backbones.get("network_in_network", blocks=3).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert layer.epsilon == 1e-5 and layer.momentum == 0.9


@pytest.mark.parametrize("blocks", [1, 2.5, "4"])
def test_bad_blocks(blocks):
    with pytest.raises(ValueError, match="(integer from 2 on|is a number). Received"):
        backbones.get("network_in_network", blocks=blocks)
