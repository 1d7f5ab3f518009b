import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.image.geometry import (
    mirror,
    quarter_turns,
    rotate_quarter,
    select,
    stack,
    turn_and_blur,
)


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (5, 7, 7, 3)).astype("uint8")


def test_mirror_exchanges_left_and_right(rng):
    wide = rng.integers(0, 256, (2, 3, 5, 3)).astype("uint8")
    np.testing.assert_array_equal(mirror(wide), wide[:, :, ::-1])


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 4, 5])
def test_quarters_are_those_of_numpy(pictures, turns):
    expected = np.rot90(pictures, turns, (1, 2))
    np.testing.assert_array_equal(rotate_quarter(pictures, turns), expected)


def test_several_quarters_at_once(pictures):
    for turned, turns in zip(quarter_turns(pictures, [3, 0, 2, 1]), [3, 0, 2, 1], strict=True):
        np.testing.assert_array_equal(turned, np.rot90(pictures, turns, (1, 2)))


def test_select_takes_whole_pictures(pictures):
    chosen = np.array([True, False, False, True, True])
    np.testing.assert_array_equal(
        select(chosen, pictures, 255 - pictures),
        np.where(chosen[:, None, None, None], pictures, 255 - pictures))


def test_stack_is_that_of_axis_1(pictures):
    others = [pictures, pictures[::-1], 255 - pictures]
    np.testing.assert_array_equal(stack(others), np.stack(others, 1))


def test_corners_are_blurred_alike_at_every_angle(rng):
    """At odd multiples of 45 they lie at the picture's edge, where the kernel is cut."""
    noise = rng.integers(0, 256, (2000, 32, 32, 3)).astype("uint8")
    even, odd = (np.asarray(turn_and_blur(tf.constant(noise), angle, 22)).astype(float)
                 for angle in (0, 45))
    corners = np.ix_(range(2000), [0, -1], [0, -1])
    assert 0.94 < odd[corners].var() / even[corners].var() < 1.06
