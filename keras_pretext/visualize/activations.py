"""What a unit answers to most: the parts of pictures that it sees when it is most active."""

import dataclasses

import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.backbones.receptive import receptive_field
from keras_pretext.visualize.checks import squares
from keras_pretext.visualize.maps import maps_of


@dataclasses.dataclass(frozen=True)
class Activation:
    """A unit's largest value in a picture.

    Attributes:
        value: of the unit there.
        index: of the picture.
        cell: row and column of the map.
        box: (top, left, bottom, right) in pixels that the cell sees, bottom and right exclusive;
            it may leave the picture.
    """

    value: float
    index: int
    cell: tuple
    box: tuple


def top_activations(model, images, tap, units, count=9, batch_size=64):
    """The pictures in which units of a tap are most active, one place a picture.

    Args:
        model: a Backbone or a model that has one.
        images: uint8 `(n, size, size, 3)`, square.
        tap: its name.
        units: channels of it.
        count: pictures a unit, at most.

    Returns:
        dict from unit to a list of `Activation`, the largest first.

    Raises:
        ValueError: for an unknown tap or unit, or a count below 1.
    """
    images, backbone = squares(images), backbone_of(model)
    maps = backbone.extractor(tap)  # an unknown tap is told before anything is computed
    channels = int(maps.output.shape[-1])
    units = [units] if isinstance(units, int | np.integer) else [*units]
    for unit in units:
        if isinstance(unit, bool) or not 0 <= unit < channels or unit != int(unit):
            raise ValueError(f"tap {tap!r} has the units 0 to {channels - 1}. Received: {unit!r}")
    if count < 1:
        raise ValueError(f"count is at least 1. Received: {count!r}")
    field = receptive_field(backbone, tap, images.shape[1])
    values, places = [], []
    for start in range(0, len(images), batch_size):
        part = maps_of(backbone, images[start:start + batch_size], tap)[..., units]
        width = part.shape[2]
        part = part.reshape(len(part), -1, len(units))
        places.append(part.argmax(1))
        values.append(part.max(1))
    values, places = np.concatenate(values), np.concatenate(places)
    found = {}
    for k, unit in enumerate(units):
        order = np.argsort(-values[:, k], kind="stable")[:count]
        found[unit] = [Activation(float(values[n, k]), int(n), divmod(int(places[n, k]), width),
                                  field.box(*divmod(int(places[n, k]), width))) for n in order]
    return found


def activations(model, images, tap, units, count=9):
    """The crops that units see where they are most active, as rows for `puzzle_sheet`.

    What of a receptive field lies outside the picture is white. Arguments: see
    `top_activations`.

    Returns:
        a list of rows, one a unit, of (title, uint8 `(side, side, 3)`).
    """
    images = squares(images)
    return [[(f"unit {unit}: {one.value:.3g}", cut(images[one.index], one.box)) for one in found]
            for unit, found in top_activations(model, images, tap, units, count).items()]


def cut(image, box):
    """The part of a picture in a box `(top, left, bottom, right)`, white outside the picture."""
    top, left, bottom, right = box
    out = np.full((bottom - top, right - left, 3), 255, "uint8")
    height, width = image.shape[:2]
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        out[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left] = (
            image[rows, columns])
    return out


def liveliest(model, images, tap, count=4):
    """The units of a tap whose largest values stand out most from their mean, ascending."""
    maps = maps_of(model, squares(images), tap)
    maps = maps.reshape(-1, maps.shape[-1])
    ratio = maps.max(0) / np.maximum(maps.mean(0), 1e-6) * (maps.max(0) > 0)
    return sorted(np.argsort(-ratio, kind="stable")[:count].tolist())
