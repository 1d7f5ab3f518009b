import numpy as np
import pytest
from small_backbones import convolved, pixels

from keras_pretext.visualize import activations, top_activations
from keras_pretext.visualize.activations import cut, liveliest


def test_the_brightest_pixel_of_each_picture_is_found(pictures):
    pictures[:] //= 2
    for n, (row, column, value) in enumerate([(3, 4, 200), (0, 11, 250), (7, 7, 220)]):
        pictures[n, row, column, 1] = value
    found = top_activations(pixels(), pictures, "pixels", 1, count=3, batch_size=2)[1]
    assert [(one.index, one.cell) for one in found] == [(1, (0, 11)), (2, (7, 7)), (0, (3, 4))]
    assert found[0].value == pytest.approx(250 / 255, abs=1e-6)
    assert found[0].box == (0, 11, 1, 12)
    pooled, = top_activations(pixels(), pictures, "pooled", [1], count=1).values()
    assert pooled[0].cell == (0, 5) and pooled[0].box == (0, 10, 2, 12)


def test_crops_are_the_receptive_fields_white_outside(pictures):
    pictures[:] = 10
    pictures[2, 0, 6] = 200
    (_, crop), = activations(convolved(np.ones((3, 3))), pictures, "out", 0, count=1)[0]
    assert crop.shape == (3, 3, 3)
    assert (crop == 200).any() and not ((crop != 10) & (crop != 200) & (crop != 255)).any()
    box = top_activations(convolved(np.ones((3, 3))), pictures, "out", 0, count=1)[0][0].box
    np.testing.assert_array_equal(crop, cut(pictures[2], box))


def test_cut_pads_with_white(pictures):
    crop = cut(pictures[0], (-2, 10, 3, 15))
    assert crop.shape == (5, 5, 3)
    np.testing.assert_array_equal(crop[2:, :2], pictures[0, :3, 10:])
    assert (crop[:2] == 255).all() and (crop[:, 2:] == 255).all()
    assert (cut(pictures[0], (20, 20, 22, 22)) == 255).all()


def test_unknown_units_and_taps_are_told(pictures):
    for unit in (3, -1, 0.5, True):
        with pytest.raises(ValueError, match="units 0 to 2. Received"):
            top_activations(pixels(), pictures, "pixels", [unit])
    with pytest.raises(ValueError, match="Did you mean 'pixels'"):
        top_activations(pixels(), pictures, "pixles", 0)
    with pytest.raises(ValueError, match="count is at least 1"):
        top_activations(pixels(), pictures, "pixels", 0, count=0)


def test_the_liveliest_units_stand_out(pictures):
    pictures[..., 0], pictures[..., 2] = 100, 0
    pictures[:, 0, 0, 1], pictures[:, 1:, :, 1] = 255, 1
    assert liveliest(pixels(), pictures, "pixels", 1) == [1]
