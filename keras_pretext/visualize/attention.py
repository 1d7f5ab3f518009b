"""Attention maps: where in a picture a layer is active (Gidaris et al., ICLR 2018, Figure 3)."""

import numpy as np
from PIL import Image

from keras_pretext.backbones.base import backbone_of
from keras_pretext.visualize.checks import squares
from keras_pretext.visualize.maps import maps_of

# of the first, a middle and the last map, as Figure 3 has them for conv1, conv3 and conv5
POWERS = (1.0, 2.0, 4.0)
# from nothing to all: RGB, evenly spaced
_COLORS = np.array([(0, 0, 60), (40, 30, 160), (30, 140, 170), (120, 200, 80), (250, 230, 40)],
                   "float32")


def attention_maps(model, images, tap, power=1.0):
    """The sum over channels of |activation|^power, each map scaled to [0, 1].

    A large power lets the strongest channel decide. A map that is the same everywhere is 0.

    Args:
        model: a Backbone or a model that has one.
        images: uint8 `(n, size, size, 3)`.
        tap: of the backbone; maps after a ReLU, as all convolutional taps are, are the paper's.
        power: p of the paper, positive.

    Returns:
        float32 `(n, height, width)`.

    Raises:
        ValueError: for an unknown tap or a power that is not positive.
    """
    if isinstance(power, bool) or not 0 < power < float("inf"):
        raise ValueError(f"the power is a positive number. Received: {power!r}")
    return _summed(maps_of(model, squares(images), tap), power)


def _summed(maps, power):
    maps = np.abs(maps.astype("float64"))
    # a common factor does not change a map, and powers of numbers up to 1 do not overflow
    maps /= np.maximum(maps.max((1, 2, 3), keepdims=True), 1e-300)
    total = (maps ** power).sum(-1)
    low, high = total.min((1, 2), keepdims=True), total.max((1, 2), keepdims=True)
    flat = high - low <= 1e-9 * high
    return np.where(flat, 0.0, (total - low) / np.where(flat, 1.0, high - low)).astype("float32")


def rotation_equivariance(model, images, tap, power=1.0):
    """How far attention turns with the picture (Gidaris et al., appendix A), as a correlation.

    Every picture is shown upright and turned by 90, 180 and 270 degrees; the maps of the turned
    ones are turned back and compared with the upright one's.

    Args:
        model, images, tap, power: as for `attention_maps`; square pictures give square maps.

    Returns:
        dict of the means of Pearson's correlation over pictures and turns, each in [-1, 1]:
        `turned_back`, and `as_they_are`, the maps not turned back, for comparison. 1 is perfect
        equivariance. A map that is the same everywhere, or a tap of a single cell, counts as 0.
    """
    images = squares(images)
    upright = attention_maps(model, images, tap, power)
    back, still = [], []
    for turns in (1, 2, 3):
        turned = attention_maps(model, np.rot90(images, turns, (1, 2)), tap, power)
        back.append(_correlation(upright, np.rot90(turned, -turns, (1, 2))))
        still.append(_correlation(upright, turned))
    return {"turned_back": float(np.mean(back)), "as_they_are": float(np.mean(still))}


def _correlation(a, b):
    """Pearson's over the cells of each pair of maps; 0 where one is constant."""
    a, b = (x.reshape(len(x), -1).astype("float64") for x in (a, b))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    norm = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.where(norm > 1e-12, (a * b).sum(1) / np.maximum(norm, 1e-12), 0.0)


def attention(model, images, taps=None, power=None, turns=False):
    """Pictures with their attention maps laid over them, as rows for `puzzle_sheet`.

    Args:
        images: uint8 `(n, size, size, 3)`, square.
        taps: a name or a list; by default the first, a middle and the last map (see
            `spread_taps`), with the powers 1, 2 and 4.
        power: for the taps that are named (1 by default), or in place of 1, 2 and 4.
        turns: also show every picture turned by 90, 180 and 270 degrees, a row each.

    Returns:
        a list of rows of (title, uint8 `(size, size, 3)`).
    """
    images, backbone = squares(images), backbone_of(model)
    if taps is None:
        taps = spread_taps(backbone, images.shape[1])
        powers = POWERS if power is None else (power,) * len(taps)
    else:
        taps = [taps] if isinstance(taps, str) else [*taps]
        powers = (1.0 if power is None else power,) * len(taps)
    rows = []
    angles = (0, 90, 180, 270) if turns else (0,)
    shown = {angle: np.rot90(images, angle // 90, (1, 2)) for angle in angles}
    maps = {(angle, tap): attention_maps(backbone, shown[angle], tap, p)
            for angle in angles for tap, p in zip(taps, powers, strict=False)}
    for k in range(len(images)):
        for angle in angles:
            picture = shown[angle][k]
            rows.append([(f"{angle}\N{DEGREE SIGN}" if turns else f"picture {k}", picture)] + [
                (f"{tap}, p = {p:g}", overlaid(picture, maps[angle, tap][k]))
                for tap, p in zip(taps, powers, strict=False)])
    return rows


def spread_taps(backbone, size):
    """The first, a middle and the last tap with maps of 4 x 4 cells or more of a picture.

    Where there are none, of more than one cell; and where there are none of those, of all taps.
    """
    shapes = backbone.compute_output_shape((1, size, size, 3))
    for least in (4, 2, 0):
        names = [name for name in backbone.taps if shapes[name][1] >= least]
        if names:
            break
    return list(dict.fromkeys([names[0], names[len(names) // 2], names[-1]]))


def overlaid(picture, heat):
    """uint8 `(H, W, 3)`: the picture in grey under a map in [0, 1] of any size, in colour."""
    height, width = picture.shape[:2]
    heat = np.asarray(Image.fromarray(np.asarray(heat, "float32")).resize(
        (width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    place = heat * (len(_COLORS) - 1)
    low = np.minimum(place.astype("int64"), len(_COLORS) - 2)
    share = (place - low)[..., None]
    color = _COLORS[low] * (1 - share) + _COLORS[low + 1] * share
    grey = np.asarray(picture, "float32").mean(-1, keepdims=True)
    return np.round(0.45 * grey + 0.55 * color).astype("uint8")
