"""What moves, beside the camera, and the window that holds most of it."""

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("av")

from moving_squares import moving  # noqa: E402

from keras_pretext.mining import motion  # noqa: E402


def test_only_the_square_moves_and_by_how_much():
    first, second = moving(1, (80, 40), (3, 0), 2)
    speed, points = motion.motion(first, second)
    assert speed.shape == (160, 240) and speed.dtype == np.float32
    assert abs(np.median(speed[50:95, 90:135]) - 3) < 0.3
    assert np.median(speed[120:]) < 0.2
    moves = speed[points[:, 1], points[:, 0]] > 0.5
    inside = (abs(points[:, 0] - 113) < 36) & (abs(points[:, 1] - 72) < 36)
    assert moves[inside].mean() > 0.95 and moves[~inside].mean() < 0.15


def test_the_cameras_own_motion_is_taken_off():
    first, second = moving(1, (80, 40), (0, 0), 2, side=40, camera=(2, 1))
    speed, _ = motion.motion(first, second)
    ground = np.median(np.concatenate([speed[120:].ravel(), speed[:20].ravel()]))
    assert ground < 0.5
    assert abs(np.median(speed[50:70, 90:110]) - 5 ** 0.5) < 0.6


@pytest.mark.parametrize("side", [3, 5])
def test_the_best_window_is_the_one_that_counting_finds(side):
    rng = np.random.default_rng(side)
    for _ in range(20):
        points = np.unique(rng.integers(0, [14, 9], (8, 2)), axis=0)
        left, top, count = motion.best_window(points, 9, 14, side)
        counts = {(x, y): sum(x <= a < x + side and y <= b < y + side for a, b in points)
                  for x in range(14 - side + 1) for y in range(9 - side + 1)}
        assert count == max(counts.values()) == counts[left, top]


def test_of_several_best_windows_the_middle_one_is_taken():
    """A thing smaller than the window is in the middle of it."""
    y, x = np.mgrid[20:25, 31:34].reshape(2, -1)
    assert motion.best_window(np.stack([x, y], -1), 60, 80, 11) == (27, 17, 15)


def test_masks_have_no_specks():
    speed = np.zeros((60, 60), np.float32)
    speed[10:40, 10:40], speed[50, 50], speed[25, 25] = 2.0, 5.0, 0.0
    mask = motion.mask(speed, 1.0)
    assert mask[25, 25] == 1 and mask[50, 50] == 0 and abs(int(mask.sum()) - 900) < 60
