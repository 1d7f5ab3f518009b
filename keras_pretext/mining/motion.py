"""What moves between two frames, beside the camera, and the window that holds most of it."""

import cv2
import numpy as np


def grey(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def motion(first, second, most_points=1000):
    """Dense flow beside the camera's, and the points at which a frame can be told to move.

    The camera's motion is a homography fitted to the points' flow by RANSAC, as for improved
    dense trajectories (Wang and Schmid, ICCV 2013).

    Args:
        first, second: RGB uint8 `(height, width, 3)`.
        most_points: SIFT points looked for in the first.

    Returns:
        float32 `(height, width)`, pixels that each pixel moves; int `(n, 2)`, points (x, y).
    """
    first, second = grey(first), grey(second)
    found = cv2.SIFT_create(most_points).detect(first, None)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)
    height, width = first.shape
    points = np.array([p.pt for p in found], np.float32).reshape(-1, 2).round().astype(int)
    points = np.unique(np.clip(points, 0, [width - 1, height - 1]), axis=0)
    if len(points) >= 4:
        start = points.astype(np.float32)
        camera = cv2.findHomography(start, start + flow[points[:, 1], points[:, 0]],
                                    cv2.RANSAC, 1.0)[0]
        if camera is not None:
            grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
            grid = grid.astype(np.float32)
            flow = flow - (cv2.perspectiveTransform(grid, camera) - grid)
    return np.linalg.norm(flow, axis=-1).astype(np.float32), points


def best_window(points, height, width, side):
    """The square with most points; of several, the one nearest to the middle of them all.

    Args:
        points: int `(n, 2)`, (x, y), within the frame.
        height, width, side: pixels of the frame and of the window.

    Returns:
        (left, top, number of points in it).
    """
    counts = np.zeros((height, width), np.int32)
    np.add.at(counts, (points[:, 1], points[:, 0]), 1)
    total = np.pad(counts.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = (total[side:, side:] - total[:-side, side:] - total[side:, :-side]
              + total[:-side, :-side])
    places = np.argwhere(inside == inside.max())
    top, left = places[((places - places.mean(0))**2).sum(1).argmin()]
    return int(left), int(top), int(inside[top, left])


def mask(speed, threshold):
    """uint8 `(height, width)`: 1 where the motion is above the threshold, without specks."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    moves = (speed > threshold).astype(np.uint8)
    return cv2.morphologyEx(cv2.morphologyEx(moves, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE,
                            kernel)
