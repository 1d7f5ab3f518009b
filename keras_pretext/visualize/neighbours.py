"""Nearest neighbours: the crops of pictures whose features are closest to a query's."""

import dataclasses

import numpy as np
from PIL import Image

from keras_pretext.backbones.base import backbone_of
from keras_pretext.visualize.checks import squares
from keras_pretext.visualize.maps import maps_of


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A crop that was found.

    Attributes:
        index: of its picture.
        box: (top, left, bottom, right) in pixels, bottom and right exclusive.
        cosine: of its features and the query's, in [-1, 1].
    """

    index: int
    box: tuple
    cosine: float


def grid_boxes(size, grid):
    """`grid` x `grid` boxes, half overlapping, that cover a square picture; all of it for 1."""
    if grid < 1 or 2 * size // (grid + 1) < 1:
        raise ValueError(f"grid is at least 1, and crops at least a pixel. Received: {grid!r}")
    side = 2 * size // (grid + 1)
    starts = [round(k * (size - side) / max(1, grid - 1)) for k in range(grid)]
    return [(top, left, top + side, left + side) for top in starts for left in starts]


def nearest_crops(model, images, queries, tap=None, count=6, grid=1, batch_size=256):
    """The crops nearest to a query by the cosine of average-pooled features.

    Every picture gives `grid` x `grid` crops, enlarged to its size; a query is the most central
    crop of its picture. A query's own picture is not searched, and a picture answers with its
    nearest crop alone.

    Args:
        model: a Backbone or a model that has one.
        images: uint8 `(n, size, size, 3)`, square, at the size that the network sees.
        queries: indices of pictures.
        tap: the last one by default.
        count: neighbours a query.
        grid: crops along a side.

    Returns:
        (dict from query to a list of `Neighbour`, the nearest first; the box of the queries).

    Raises:
        ValueError: for an unknown tap, a query that is no picture, fewer pictures than asked for,
            or a query without features (all zero).
    """
    images, backbone = squares(images), backbone_of(model)
    tap = [*backbone.taps][-1] if tap is None else tap
    queries = [int(q) for q in np.atleast_1d(queries)]
    for query in queries:
        if not 0 <= query < len(images):
            raise ValueError(f"a query is one of the pictures, 0 to {len(images) - 1}. "
                             f"Received: {query}")
    if not 1 <= count < len(images):
        raise ValueError(f"{len(images)} pictures have 1 to {len(images) - 1} neighbours each. "
                         f"Received: count={count}")
    size = images.shape[1]
    boxes = grid_boxes(size, grid)
    backbone.extractor(tap)  # an unknown tap is told before anything is computed
    parts = []
    for start in range(0, len(images), max(1, batch_size // len(boxes))):
        stop = start + max(1, batch_size // len(boxes))
        crops = [enlarged(image[top:bottom, left:right], size)
                 for image in images[start:stop] for top, left, bottom, right in boxes]
        parts.append(maps_of(backbone, np.stack(crops), tap, "avg"))
    vectors = np.concatenate(parts)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = (vectors / np.maximum(norm, 1e-12)).reshape(len(images), len(boxes), -1)
    norm = norm.reshape(len(images), len(boxes))
    # of several equally central crops, the first
    off = [abs(top + bottom - size) + abs(left + right - size)
           for top, left, bottom, right in boxes]
    centre = off.index(min(off))
    found = {}
    for query in queries:
        if norm[query, centre] <= 1e-12:
            raise ValueError(f"the features of tap {tap!r} are all zero for the query, so nothing "
                             f"is near it. Received: picture {query}")
        cosine = vectors @ vectors[query, centre]
        best, place = cosine.max(1), cosine.argmax(1)
        best[query] = -np.inf
        found[query] = [Neighbour(int(n), boxes[place[n]], float(np.clip(best[n], -1, 1)))
                        for n in np.argsort(-best, kind="stable")[:count]]
    return found, boxes[centre]


def neighbours(model, images, queries, tap=None, count=6, grid=1):
    """Queries and what is nearest to them, as rows for `puzzle_sheet`.

    Arguments: see `nearest_crops`.

    Returns:
        a list of rows, one a query, of (title, uint8 `(side, side, 3)`), the query first.
    """
    found, (top, left, bottom, right) = nearest_crops(model, images, queries, tap, count, grid)
    return [[(f"query {query}", images[query][top:bottom, left:right])] + [
        (f"{one.index}: {one.cosine:.2f}",
         images[one.index][one.box[0]:one.box[2], one.box[1]:one.box[3]]) for one in near]
        for query, near in found.items()]


def enlarged(picture, size):
    """A square uint8 picture at another side, bilinearly; as it is where the side is the same."""
    if len(picture) == size:
        return picture
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(
        (size, size), Image.Resampling.BILINEAR))
