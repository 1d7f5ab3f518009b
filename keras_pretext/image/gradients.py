"""Where a picture has much gradient, and random patches of it by that.

What Exemplar-CNN draws its seed patches with (Dosovitskiy et al., 2014, section 2.1, and the
authors' code). It runs once, before training, in NumPy.
"""

import numpy as np

SCALES = (1.0, 0.8, 0.64, 0.512)  # of the picture: 1 to 0.8 cubed
CELLS = 8  # cells of an energy map along a patch: a quarter of the resolution for 32 pixels
_FLAT = 0.01  # less energy than this is rounding: a picture of one colour


def energy(images, patch, scale):
    """The gradient energy of every patch of pictures that are shrunk by a scale.

    The channels' sum, at 8 cells a patch, less its Gaussian mean; squared, and averaged over the
    cells of the patch with Gaussian weights about its middle. Both Gaussians have a deviation of
    2 cells, a quarter of the patch (the authors' code).

    Args:
        images: uint8 `(n, height, width, 3)`.
        patch: side of a patch in pixels of the shrunk picture.
        scale: at most 1.

    Returns:
        float32 `(n, rows, columns)`: entry (r, c) is of the patch that begins r cells down and c
        cells across; empty where the shrunk picture is smaller than a patch.
    """
    step = patch / CELLS / scale
    grey = np.asarray(images).astype("float32") @ np.ones(3, "float32")
    sizes = [int(length / step + 1e-6) for length in grey.shape[1:]]
    if min(sizes) < CELLS:
        return np.zeros((len(grey), 0, 0), "float32")
    for axis, size in enumerate(sizes, 1):  # the mean of what each cell covers
        grey = _along(_shares(size, grey.shape[axis], step), grey, axis)
    low = grey
    for axis, size in enumerate(sizes, 1):
        low = _along(_gaussian(np.arange(size)[:, None] - np.arange(size)), low, axis)
    squares = (grey - low) ** 2
    for axis, size in enumerate(sizes, 1):
        begin = np.arange(size - CELLS + 1)[:, None]
        weights = _gaussian(np.arange(size) - begin - (CELLS - 1) / 2, CELLS / 2)
        squares = _along(weights, squares, axis)
    return np.where(squares < _FLAT, 0, squares).astype("float32")


def _gaussian(distance, reach=np.inf):
    """Weights of cells in rows that sum to 1; none where a cell is farther than `reach`."""
    weights = np.exp(-(distance / (CELLS / 4)) ** 2 / 2) * (abs(distance) <= reach)
    return (weights / weights.sum(1, keepdims=True)).astype("float32")


def _shares(count, length, step):
    """`(count, length)`: how much of pixel x lies in [i, i + 1) * step, over step."""
    edge, place = np.arange(count)[:, None] * step, np.arange(length)
    share = np.minimum(edge + step, place + 1) - np.maximum(edge, place)
    return (np.maximum(share, 0) / step).astype("float32")


def _along(matrix, x, axis):
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)


def draw_pictures(energies, count, rng):
    """Which pictures give a patch, and at which scale: each picture once.

    Again and again a scale is drawn evenly and a picture by its mean energy there; the picture is
    then closed.

    Args:
        energies: `(n, scales)`, mean energies; at least `count` rows are not all 0.
        rng: a `numpy.random.Generator`.

    Returns:
        int64 `(count,)` twice: pictures and scales.
    """
    # Arrival times of rates `energies`: to go on in their order is to draw without replacement.
    with np.errstate(divide="ignore"):
        times = rng.exponential(size=energies.shape) / np.asarray(energies, "float64")
    queues = []
    for column in times.T:
        order = np.argsort(column, kind="stable")
        queues.append(order[np.isfinite(column[order])][::-1].tolist())
    closed, chosen = set(), []
    while len(chosen) < count:
        for queue in queues:
            while queue and queue[-1] in closed:
                queue.pop()
        waiting = [k for k, queue in enumerate(queues) if queue]
        scale = waiting[rng.integers(len(waiting))]
        chosen.append((queues[scale].pop(), scale))
        closed.add(chosen[-1][0])
    return tuple(np.array(chosen, "int64").reshape(-1, 2).T)


def draw_window(image, patch, scale, rng):
    """A patch of a picture, drawn by its energy.

    Returns:
        float32 top, left and side of the square, in pixels of the picture. Top and left are whole
        pixels of the shrunk picture.
    """
    found = energy(image[None], patch, scale)[0].astype("float64")
    place = rng.choice(found.size, p=found.ravel() / found.sum())
    cells = np.array(np.unravel_index(place, found.shape)) + rng.uniform(-0.5, 0.5, 2)
    room = np.floor(np.array(image.shape[:2]) * scale + 1e-6) - patch
    corner = np.clip(np.round(cells * patch / CELLS), 0, room) / scale
    return np.array([*corner, patch / scale], "float32")
