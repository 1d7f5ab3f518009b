"""Draws the scenes: signed distances of simple shapes, for many pictures at once, in NumPy.

A picture is a background (outdoors, indoors or a texture), clutter, one thing that stands upright
but for a slight tilt, lit from above, something in front of it, and a camera's colour cast and
noise. Positions are in units of the picture's side, so that a scene looks the same at any size.
Which colours a thing has goes with its class, but only loosely: most palettes are shared.
"""

import numpy as np

from keras_pretext.data.draws import draws
from keras_pretext.registry import unknown_name

CLASS_NAMES = ("bird", "boat", "bottle", "car", "flower", "house", "lamp", "mushroom", "person",
               "tree")
SPLITS = {"train": 6000, "test": 1000}
SIZES = (8, 1024)

_PIXELS_AT_ONCE = 640 * 32 * 32
_LATTICES = (4, 8, 16, 32)
_NUM_DICE = 400

# Colours as sRGB hexadecimal numbers. Every thing takes its own colours four times out of five
# and otherwise any of these.
_ANY = (0xC8342B, 0xE07B2A, 0xE8C93A, 0x5C9A3C, 0x2F6B45, 0x3FA7A0, 0x3A78C2, 0x2B3F7E, 0x7A4BA0,
        0xD66FA4, 0x8A5A3A, 0xD9C7A0, 0xF0EEE6, 0x9A9DA3, 0x55585E, 0x27282C)
_WOOD = (0x6B4A2E, 0x8A6238, 0x4C382A, 0xA08A6A, 0x77736E)
_DARK = (0x222327, 0x33302E, 0x2A3040)
_SKY = (0x8EC1EA, 0x5E97D3, 0xC9D4DC, 0x99A2AC, 0xE9B48A, 0x2A3350, 0x1D2233, 0x5A5470, 0xD8E4E0,
        0x566470, 0x7A4A50, 0x3C5A78)
_GROUND = (0x5F8F45, 0x8A9A50, 0xD9C48F, 0xE8ECF0, 0x8C8A86, 0x4A6FA0, 0x86603F, 0x3B5A3A, 0xB9B4AA,
           0x5B5A60, 0xCBB9C0, 0x7FA8B8)
# The ground that a class stands on a third of the time outdoors, in the order of CLASS_NAMES.
_USUAL = (0x8A9A50, 0x4A6FA0, 0x86603F, 0x8C8A86, 0x5F8F45, 0x5F8F45, 0x86603F, 0x3B5A3A, 0xB9B4AA,
          0x5F8F45)
_WALL = (0xD8CDB8, 0xA9B9A8, 0xB08C84, 0x8296AE, 0xE6E2DA, 0x6C6A72, 0x4A4048, 0xC9A25E, 0x3D5452)
_FLOOR = (0x9A6B42, 0x6B4630, 0xC7A57A, 0xD8D4CC, 0x88888C, 0x50484A, 0x7A2F34, 0x4F6B5A, 0xE5D6B4)


class _Dice:
    """Hands out the random numbers of every picture, one column at a time."""

    def __init__(self, numbers):
        self._numbers, self._at = numbers, 0

    def columns(self, start, stop):
        """Dice of their own for a part of the scene, whatever the other parts throw."""
        return _Dice(self._numbers[:, start:stop])

    def rows(self, rows):
        return _Dice(self._numbers[rows])

    def uniform(self, low=0.0, high=1.0):
        self._at += 1
        x = self._numbers[:, self._at - 1, None, None]
        return x * np.float32(high - low) + np.float32(low)

    def chance(self, p):
        return self.uniform() < p

    def pick(self, values):
        values = np.asarray(values)
        return values[(self.uniform()[:, 0, 0] * len(values)).astype(int)]

    def number(self, values):
        return self.pick(np.asarray(values, np.float32))[:, None, None]

    def colour(self, palette, own=1.0, jitter=0.07):
        """[3, n, 1, 1]: one of the palette, or with probability `1 - own` any colour.

        An array in place of the palette holds every picture's own colour.
        """
        mine = palette if isinstance(palette, np.ndarray) else self.pick(palette)
        other = self.pick(_ANY)
        code = np.where(self.uniform()[:, 0, 0] < own, mine, other)
        rgb = np.stack([code >> 16, code >> 8 & 255, code & 255]).astype(np.float32) / 255
        rgb = rgb[..., None, None] * self.uniform(0.75, 1.2)
        return np.clip(rgb + np.stack([self.uniform(-jitter, jitter) for _ in range(3)]), 0, 1)


class _Canvas:
    """Pictures `rgb` [3, n, s, s] and the coordinates that shapes are drawn in."""

    def __init__(self, rgb, x, y, pixel, light, noise, texture):
        self.rgb, self.x, self.y, self.pixel = rgb, x, y, pixel
        self.light, self.noise, self.texture = light, noise, texture

    # Shapes: signed distances, negative inside. Exact near the border, which is where they count.
    def ellipse(self, x, y, a, b=None):
        b = a if b is None else b
        p, q = (self.x - x) / a, (self.y - y) / b
        length = np.sqrt(p * p + q * q) + 1e-6
        p, q = p / a, q / b
        return length * (length - 1) / (np.sqrt(p * p + q * q) + 1e-6)

    def box(self, x, y, a, b, corner=0.0):
        p, q = abs(self.x - x) - (a - corner), abs(self.y - y) - (b - corner)
        inside = np.maximum(p, q)
        if np.ndim(corner) == 0 and corner == 0:
            return inside
        p, q = np.maximum(p, 0), np.maximum(q, 0)
        return np.minimum(inside, 0) + np.sqrt(p * p + q * q) - corner

    def line(self, x0, y0, x1, y1, thick):
        p, q, a, b = self.x - x0, self.y - y0, x1 - x0, y1 - y0
        along = np.clip((p * a + q * b) / (a * a + b * b), 0, 1)
        p, q = p - along * a, q - along * b
        return np.sqrt(p * p + q * q) - thick

    def polygon(self, *corners):
        """A convex polygon, corners clockwise with y up."""
        out = None
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            a, b = x1 - x0, y1 - y0
            far = ((self.y - y0) * a - (self.x - x0) * b) / np.sqrt(a * a + b * b)
            out = far if out is None else np.maximum(out, far)
        return out

    def trapezoid(self, x, bottom, top, below, above):
        """Half as wide as `below` at height `bottom`, as `above` at `top`."""
        return self.polygon((x - below, bottom), (x - above, top), (x + above, top),
                            (x + below, bottom))

    def paint(self, distance, colour, centre=(0.0, 0.0), radius=(1.0, 1.0), shade=1.0, opacity=1.0):
        """Lay a colour over the inside of a shape, lit as a round body of that place and size."""
        cover = np.clip(0.5 - distance / self.pixel, 0, 1) * opacity
        lit = 1 + self.texture * self.noise
        if np.ndim(shade) or shade:
            across = (self.x - centre[0]) * (self.light[0] / radius[0])
            up = (self.y - centre[1]) * (self.light[1] / radius[1])
            lit = lit + np.clip(across + up, -1, 1) * (shade * self.light[2])
        for channel, value in zip(self.rgb, colour, strict=True):
            channel += cover * (value * lit - channel)


def _either(first, one, other):
    return np.where(first, one, other)


# The things. x to the right and y up, both within about [-1, 1]; the base is at y = -1 or so.

def _tree(c, d):
    w, crown, sway = d.uniform(0.09, 0.18), d.uniform(0.5, 0.72), d.uniform(-0.12, 0.12)
    leaves = d.colour((0x4C8A3A, 0x2E6438, 0x86A844, 0xC8742A, 0xD9A23A, 0xD98FB0), 0.8)
    conifer = d.chance(0.45)
    c.paint(c.trapezoid(0, -1, 0.1, w, w * 0.6), d.colour(_WOOD, 0.7), radius=(0.3, 2))
    round_ = np.minimum(c.ellipse(sway, 0.42, crown, d.uniform(0.45, 0.58)),
                        np.minimum(c.ellipse(-0.42 * crown - 0.12, 0.1, 0.36, 0.3),
                                   c.ellipse(0.42 * crown + 0.14, 0.16, 0.36, 0.32)))
    spruce = np.minimum(c.trapezoid(0, -0.5, 0.25, crown + 0.08, 0.08),
                        np.minimum(c.trapezoid(0, -0.08, 0.6, crown * 0.82, 0.06),
                                   c.trapezoid(0, 0.35, 1.0, crown * 0.6, 0.01)))
    ragged = c.noise * d.uniform(0.0, 0.12)
    c.paint(_either(conifer, spruce, round_) + ragged, leaves, (0, 0.25), (0.8, 0.8), 1.3)
    fruit, show = d.colour((0xC8342B, 0xE8C93A, 0xF0EEE6), 0.8), d.chance(0.25)
    for x, y in ((-0.3, 0.2), (0.25, 0.5), (0.1, 0.05)):
        c.paint(c.ellipse(x, y, 0.09), fruit, (x, y), (0.1, 0.1), opacity=show)


def _house(c, d):
    w, top, peak = d.uniform(0.6, 0.85), d.uniform(-0.1, 0.2), d.uniform(0.6, 0.95)
    wall = d.colour((0xE6DCC4, 0xC98A62, 0xB5523A, 0xF0EEE6, 0x9FB4C0, 0xD9B55A), 0.8)
    roof = d.colour((0xA0402F, 0x6B3A2E, 0x4A4E58, 0x8A5A3A, 0x355A6B), 0.8)
    side, ridge = d.number((-1, 1)), _either(d.chance(0.35), w * 0.6, 0.02)
    glass = _either(d.chance(0.35), 1.0, 0.0) * np.float32(0.75)
    chimney = d.chance(0.6)
    c.paint(c.box(side * 0.42, 0.55, 0.1, 0.38), roof * 0.8, (0, 0.5), opacity=chimney)
    c.paint(c.box(0, (top - 1) / 2, w, (top + 1) / 2), wall, (0, -0.4), (w, 0.7), 0.8)
    eaves = w + d.uniform(0.08, 0.2)
    c.paint(c.trapezoid(0, top, peak, eaves, ridge), roof, (0, (top + peak) / 2), (w, 0.4))
    pane = np.stack([0.16 + glass, 0.2 + glass * 0.9, 0.28 + glass * 0.5])
    pane = pane + d.uniform(-0.05, 0.1)
    door, middle = d.uniform(-0.15, 0.15), d.chance(0.5)
    door = _either(middle, door, -side * w * 0.5)
    c.paint(c.box(door, -0.72, 0.15, 0.3), d.colour(_ANY) * 0.8, (door, -0.7), (0.15, 0.3), 0.8)
    high = (top - 0.35) * 0.6 - 0.05
    for place in (-1, 1):
        x = _either(middle, place * w * 0.6, side * w * (0.5 if place > 0 else 0.02))
        c.paint(c.box(x, high, 0.15, 0.16), wall * 0.6, shade=0)
        c.paint(c.box(x, high, 0.11, 0.12), pane, shade=0)


def _car(c, d):
    paint = d.colour((0xC8342B, 0x2B3F7E, 0xE8C93A, 0xF0EEE6, 0x9A9DA3, 0x27282C, 0x3A78C2), 0.85)
    roof, back, low = d.uniform(0.36, 0.56), d.uniform(0.5, 0.85), d.uniform(0.26, 0.34)
    wheel, apart = d.uniform(0.2, 0.28), d.uniform(0.52, 0.62)
    base = -0.5
    cabin = ((-back, -0.08), (-back * 0.75, roof), (0.28, roof), (0.58, -0.08))
    c.paint(c.polygon(*cabin), paint, (0, 0.1), (1, 0.5))
    c.paint(c.box(0, base + low, 1.0, low, 0.14), paint, (0, base + low), (1.2, low))
    window = d.colour((0x9FC0D8, 0x33404C, 0xC9D4DC, 0x55606A))
    inner = c.polygon(*cabin) + 0.08
    pane = np.maximum(inner, np.maximum(0.02 - c.y, abs(c.x + 0.12) * -1 + 0.04))
    c.paint(pane, window, (0, 0.2), (1, 0.4), 0.85)
    stripe, show = d.colour(_ANY), d.chance(0.3)
    c.paint(c.box(0, base + low, 0.96, 0.05), stripe, shade=0, opacity=show)
    tyre, hub = d.colour(_DARK), d.colour((0xB9BCC0, 0x8A8D92, 0xE0E0E0, 0x55585E))
    for x in (-1, 1):
        c.paint(c.ellipse(x * apart, base, wheel), tyre, (x * apart, base), (wheel, wheel), 0.8)
        c.paint(c.ellipse(x * apart, base, wheel * 0.5), hub, (x * apart, base), (0.15, 0.15))
    c.paint(c.ellipse(0.92, base + low * 1.2, 0.07), d.colour((0xFFF2C0, 0xF0EEE6)), shade=0)


def _boat(c, d):
    hull = d.colour((0x8A5A3A, 0xF0EEE6, 0x2B3F7E, 0xC8342B, 0x27282C), 0.8)
    wide, keel, deck = d.uniform(0.75, 0.98), d.uniform(0.4, 0.65), d.uniform(-0.45, -0.3)
    sail, mast = d.colour((0xF0EEE6, 0xE8DCC0, 0xC8342B, 0xE07B2A, 0x9FC4D0), 0.8), 0.95
    steamer, lean = d.chance(0.3), d.uniform(-0.1, 0.15)
    c.paint(c.box(lean, (deck + mast) / 2, 0.04, (mast - deck) / 2), d.colour(_WOOD, 0.8), shade=0,
            opacity=~steamer)
    reach = d.uniform(0.45, 0.75)
    main = c.polygon((lean + 0.08, deck + 0.14), (lean + 0.08, mast - 0.05),
                     (lean + 0.08 + reach, deck + 0.14))
    jib = c.polygon((lean - 0.08 - reach * 0.7, deck + 0.16), (lean - 0.08, mast - 0.3),
                    (lean - 0.08, deck + 0.16))
    c.paint(main, sail, (0.3, 0.2), (0.5, 0.8), opacity=~steamer)
    c.paint(jib, sail * 0.9, (-0.3, 0.2), (0.5, 0.8), opacity=~steamer & d.chance(0.7))
    house = d.colour((0xF0EEE6, 0xD9C7A0, 0xE07B2A), 0.8)
    c.paint(c.box(-0.1, deck + 0.2, 0.42, 0.24), house, (0, 0), (0.5, 0.5), opacity=steamer)
    c.paint(c.box(0.1, deck + 0.68, 0.13, 0.3), hull * 0.9, (0.1, 0.3), (0.2, 0.4), opacity=steamer)
    c.paint(c.box(0.1, deck + 0.82, 0.14, 0.06), sail, shade=0, opacity=steamer)
    for x in (-0.35, -0.1, 0.15):
        c.paint(c.ellipse(x, deck + 0.22, 0.07), house * 0.3, shade=0, opacity=steamer)
    body = c.trapezoid(0, -0.9, deck, keel, wide)
    c.paint(body, hull, (0, -0.6), (1.2, 0.35), 1.2)
    band = np.maximum(body, abs(c.y - (deck - 0.1)) - 0.06)
    c.paint(band, d.colour(_ANY), shade=0, opacity=d.chance(0.6))


def _lamp(c, d):
    foot, wide, top = d.uniform(0.3, 0.5), d.uniform(0.45, 0.75), d.uniform(0.2, 0.42)
    low, metal = d.uniform(0.05, 0.25), d.colour((0x8A6238, 0x55585E, 0xB8963E, 0x27282C), 0.85)
    shade = d.colour((0xF0E2B0, 0xE8C93A, 0xE6E2DA, 0xC8342B, 0x5C8A7A), 0.8)
    lit, bulge = d.chance(0.5), d.uniform(0.06, 0.24)
    glow = np.exp(-np.maximum(c.ellipse(0, 0.4, 0.6, 0.5), 0) * 3) * lit * np.float32(0.22)
    for channel, tint in zip(c.rgb, (1.0, 0.85, 0.5), strict=True):
        channel += glow * np.float32(tint)
    c.paint(c.line(0, -0.9, 0, low, 0.06), metal, (0, 0), (0.08, 4))
    c.paint(c.ellipse(0, -0.45, bulge, 0.3), metal, (0, -0.45), (bulge, 0.4), 1.2)
    c.paint(np.maximum(c.ellipse(0, -1, foot, 0.2), -1 - c.y), metal, (0, -0.9), (foot, 0.15))
    body = c.trapezoid(0, low, 0.9, wide, top)
    c.paint(body, shade, (0, 0.5), (wide, 1.2), _either(lit, 0.3, 1.0))
    c.paint(np.maximum(body, abs(c.y - low - 0.08) - 0.05), metal, shade=0,
            opacity=d.chance(0.4))
    warm = np.exp(-(c.x / 0.35) ** 2 - ((c.y - low) / 0.5) ** 2)
    c.paint(body, np.clip(shade * 1.3 + 0.15, 0, 1), shade=0, opacity=warm * lit * np.float32(0.8))


def _person(c, d):
    skin = d.colour((0xF0C8A0, 0xD9A070, 0xA06A42, 0x6B4630, 0xE8B48C), 1.0, 0.03)
    shirt = d.colour((0xC8342B, 0x3A78C2, 0xF0EEE6, 0x5C9A3C, 0xE8C93A, 0x27282C), 0.8)
    trousers = d.colour((0x2B3F7E, 0x33302E, 0x55585E, 0x8A6238, 0x4A6FA0), 0.8)
    hair = d.colour((0x27282C, 0x4C382A, 0xB8863E, 0x8A3A22, 0x9A9DA3), 0.9)
    hip, stride, wide = d.uniform(-0.25, -0.1), d.uniform(0.1, 0.34), d.uniform(0.22, 0.32)
    skirt = d.chance(0.25)
    for side in (-1, 1):
        c.paint(c.line(side * 0.13, hip, side * stride, -0.95, 0.1), trousers, (side * 0.2, -0.5),
                (0.2, 2), 0.85)
        c.paint(c.box(side * stride + 0.04, -0.98, 0.14, 0.06), trousers * 0.4, shade=0)
        away, lift = d.uniform(0.1, 0.45), d.uniform(-0.45, -0.1)
        lift = _either(d.chance(0.25), d.uniform(0.4, 0.8), lift)
        x, y = side * (wide + away), np.float32(0.2) + lift
        c.paint(c.line(side * wide * 0.9, 0.26, x, y, 0.085), shirt * 0.9, (0, 0.1), (0.6, 0.6))
        c.paint(c.ellipse(x, y, 0.1), skin, (x, y), (0.1, 0.1))
    c.paint(c.trapezoid(0, hip - 0.3, hip + 0.15, wide + 0.18, wide * 0.8), shirt * 0.8,
            opacity=skirt)
    c.paint(c.box(0, (hip + 0.38) / 2, wide, (0.42 - hip) / 2, 0.12), shirt, (0, 0.1), (wide, 0.5))
    head = d.uniform(0.2, 0.27)
    c.paint(c.box(0, 0.42, 0.07, 0.1), skin * 0.85, shade=0)
    c.paint(c.ellipse(0, 0.68, head * 1.08, head * 1.16), hair, (0, 0.7), (head, head))
    face = np.maximum(c.ellipse(0, 0.66, head * 0.92, head), c.y - 0.66 - head * d.uniform(0, 0.5))
    c.paint(face, skin, (0, 0.65), (head, head), 0.8)
    for side in (-1, 1):
        c.paint(c.ellipse(side * 0.09, 0.67, 0.035), hair * 0.3, shade=0)


def _mushroom(c, d):
    cap = d.colour((0xC8342B, 0x8A5A3A, 0xD9A868, 0xE07B2A, 0xE8DCC8, 0x7A4BA0), 0.8)
    stem = d.colour((0xF0EADC, 0xD9C7A0, 0xB9B4AA), 0.75)
    wide, tall, edge = d.uniform(0.65, 0.95), d.uniform(0.55, 0.95), d.uniform(-0.15, 0.1)
    low, high = d.uniform(0.2, 0.36), d.uniform(0.14, 0.22)
    c.paint(c.trapezoid(0, -0.95, edge, low, high), stem, (0, -0.4), (0.3, 3))
    c.paint(c.ellipse(0, -0.92, low, 0.09), stem * 0.9, shade=0)
    c.paint(c.ellipse(0, edge - 0.25, high * 1.5, 0.07), stem, shade=0, opacity=d.chance(0.4))
    c.paint(c.ellipse(0, edge, wide * 0.95, 0.12), stem * 0.62, shade=0)
    dome = np.maximum(c.ellipse(0, edge, wide, tall), edge - c.y)
    c.paint(dome, cap, (0, edge + tall * 0.4), (wide, tall * 0.7), 1.3)
    dots, show = d.colour((0xF0EEE6, 0xD9C7A0, 0x6B4630), 0.85), d.chance(0.6)
    for x, y in ((-0.5, 0.25), (0.0, 0.55), (0.48, 0.3), (-0.12, 0.2), (0.25, 0.7)):
        x, y = x * wide + d.uniform(-0.08, 0.08), edge + y * tall
        c.paint(np.maximum(dome, c.ellipse(x, y, 0.11, 0.09)), dots, (x, y), (0.1, 0.1), 0.5, show)


def _flower(c, d):
    petal = d.colour((0xE8C93A, 0xD66FA4, 0xC8342B, 0xF0EEE6, 0x7A4BA0, 0xE07B2A), 0.85)
    green = d.colour((0x4C8A3A, 0x2E6438, 0x86A844), 0.8)
    x, y, r = d.uniform(-0.15, 0.15), d.uniform(0.3, 0.48), d.uniform(0.42, 0.58)
    bend = d.uniform(-0.12, 0.12)
    stem = np.minimum(c.line(bend * 0.3, -1, bend, -0.35, 0.055), c.line(bend, -0.35, x, y, 0.055))
    c.paint(stem, green, (0, 0), (0.2, 2), 0.8)
    for side in (-1, 1):
        reach, rise, at = d.uniform(0.4, 0.65), d.uniform(0.1, 0.4), d.uniform(-0.8, -0.55)
        p, q = (c.x - side * reach / 2) * side, c.y - at - rise / 2
        slope = rise / reach
        leaf = abs(q - slope * p) * 0.9 + (p / (reach / 2)) ** 2 * 0.14 - 0.14
        c.paint(leaf, green * 0.9, (side * 0.3, at), (0.4, 0.3), opacity=d.chance(0.8))
    p, q = c.x - x, c.y - y
    count, deep = d.number((5, 6, 7, 8)), d.uniform(0.14, 0.3)
    angle = np.arctan2(q, p) * count + d.uniform(0, 6.28)
    radius = np.sqrt(p * p + q * q)
    bloom = (radius - r * (1 - deep + deep * np.cos(angle))) * 0.75
    teeth = abs((p / 0.28 + 1) % 2 - 1)
    tulip = np.maximum(c.ellipse(x, y - 0.05, 0.4, 0.5), (q - 0.05 - 0.3 * teeth) * 0.7)
    bell = d.chance(0.25)
    c.paint(_either(bell, tulip, bloom), petal * (1 - 0.25 * np.exp(-radius * 3)), (x, y), (r, r))
    c.paint(c.ellipse(x, y, r * d.uniform(0.25, 0.42)),
            d.colour((0xE8C93A, 0x6B4630, 0xF0EEE6, 0xE07B2A), 0.8), (x, y), (0.2, 0.2), 1.2, ~bell)


def _bird(c, d):
    coat = d.colour((0x8A6A4A, 0x3A78C2, 0xC8342B, 0x27282C, 0xE8C93A, 0x9A9DA3, 0xF0EEE6), 0.8)
    belly = d.colour((0xF0EEE6, 0xE8C8A0, 0xE07B2A, 0xE8C93A), 0.8)
    beak = d.colour((0xE8A02A, 0x33302E, 0xE07B2A), 0.85)
    fat, long, rise = d.uniform(0.32, 0.44), d.uniform(0.55, 0.68), d.uniform(0.36, 0.56)
    leg, tail = d.uniform(-0.95, -0.75), d.uniform(-0.1, 0.35)
    for x in (-0.1, 0.16):
        c.paint(c.line(x, -0.2, x + 0.04, leg, 0.035), beak * 0.8, shade=0)
        c.paint(c.line(x + 0.02, leg, x + 0.2, leg, 0.035), beak * 0.8, shade=0)
    c.paint(c.polygon((-1.0, tail), (-0.95, tail + 0.22), (-0.25, 0.2), (-0.3, -0.1)), coat * 0.75,
            (-0.6, 0), (0.4, 0.3))
    body = c.ellipse(0, 0, long, fat)
    c.paint(body, coat, (0, 0), (long, fat), 1.2)
    c.paint(np.maximum(body, c.ellipse(0.22, -0.2, 0.5, 0.3)), belly, (0, 0), (0.8, fat))
    head, x = d.uniform(0.21, 0.28), 0.46
    c.paint(c.line(0.35, 0.1, x, rise, 0.16), coat, (0.4, 0.3), (0.3, 0.3), 0.8)
    c.paint(c.polygon((x + 0.12, rise - 0.1), (x + 0.12, rise + 0.12),
                      (x + d.uniform(0.4, 0.6), rise - 0.02)), beak, shade=0)
    c.paint(c.ellipse(x, rise, head), coat, (x, rise), (head, head))
    c.paint(c.ellipse(x + 0.08, rise + 0.06, 0.07), np.float32([0.95] * 3), shade=0)
    c.paint(c.ellipse(x + 0.09, rise + 0.06, 0.045), np.float32([0.05] * 3), shade=0)
    up = d.chance(0.3)
    folded = c.ellipse(-0.15, 0.04, 0.42, 0.2)
    raised = c.polygon((-0.3, 0.05), (-0.65, 0.85), (-0.4, 0.9), (0.2, 0.1))
    c.paint(_either(up, raised, folded), coat * d.uniform(0.55, 0.8), (-0.15, 0.1), (0.5, 0.3), 1.2)


def _bottle(c, d):
    glass = d.colour((0x2F6B45, 0x6B4A2E, 0x9FC4D0, 0xE6E2DA, 0x3A78C2, 0x7A2F34), 0.8)
    wide, neck, top = d.uniform(0.28, 0.46), d.uniform(0.09, 0.15), d.uniform(0.75, 0.92)
    shoulder, slope = d.uniform(-0.05, 0.3), d.uniform(0.12, 0.32)
    body = np.minimum(c.box(0, (shoulder - 1) / 2, wide, (shoulder + 1) / 2, 0.08),
                      np.minimum(c.trapezoid(0, shoulder - 0.06, shoulder + slope, wide, neck),
                                 c.box(0, (shoulder + top) / 2, neck, (top - shoulder) / 2)))
    c.paint(body, glass, (0, -0.2), (wide * 1.2, 4), 1.5)
    level = d.uniform(-0.5, shoulder)
    c.paint(np.maximum(body + 0.04, c.y - level), glass * d.uniform(0.45, 0.7), (0, -0.3),
            (wide, 4), opacity=d.chance(0.6))
    tag = np.maximum(c.box(0, d.uniform(-0.5, -0.3), 2, d.uniform(0.14, 0.3)), body + 0.01)
    c.paint(tag, d.colour((0xF0EEE6, 0xE8DCC0, 0xC8342B, 0xE8C93A), 0.85), (0, -0.4), (wide, 4),
            opacity=d.chance(0.75))
    c.paint(c.box(0, top, neck + 0.03, 0.09), d.colour(_ANY), (0, top), (0.2, 0.2))
    c.paint(np.maximum(c.box(-wide * 0.55, -0.3, 0.04, 0.55), body), np.float32([1, 1, 1]), shade=0,
            opacity=np.float32(0.55))


_DRAW = {"bird": _bird, "boat": _boat, "bottle": _bottle, "car": _car, "flower": _flower,
         "house": _house, "lamp": _lamp, "mushroom": _mushroom, "person": _person, "tree": _tree}


def _noise(numbers, size):
    """Two fields of smooth noise [n, size, size], about in [-1, 1]: coarse, and fine."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    coarse = fine = start = 0
    for cells in _LATTICES:
        grid = numbers[:, start:start + cells * cells].reshape(-1, cells, cells) * 2 - 1
        start += cells * cells
        place = at * cells - 0.5
        low = np.floor(place).astype(int)
        part = place - low
        part = (part * part * (3 - 2 * part)).astype(np.float32)
        weights = np.zeros((size, cells), np.float32)
        np.add.at(weights, (np.arange(size), np.clip(low, 0, cells - 1)), 1 - part)
        np.add.at(weights, (np.arange(size), np.clip(low + 1, 0, cells - 1)), part)
        field = np.matmul(np.matmul(weights, grid), weights.T)
        if cells <= 8:
            coarse = coarse + field * np.float32(0.6)
        else:
            fine = fine + field * np.float32(0.6)
    return coarse, fine


def _gradient(c, low, high, along):
    for channel, a, b in zip(c.rgb, low, high, strict=True):
        channel += (a + (b - a) * along) - channel


def _backdrop(c, d, labels, coarse, fine, horizon):
    """Sky over ground, wall over floor, or a texture that has no up side."""
    kind = d.uniform()
    outside, neutral = kind < 0.4, kind > 0.65
    over = np.where(outside, d.colour(_SKY), d.colour(_WALL))
    usual = d.pick((0, 0, 1)).astype(bool)
    code = np.where(usual, np.asarray(_USUAL)[labels], d.pick(_GROUND))
    under = np.where(outside, d.colour(code), d.colour(_FLOOR))
    turn = d.uniform(0, 6.283)
    wide = np.cos(turn) * c.x + np.sin(turn) * (c.y - 0.5)
    reach = d.uniform(-0.25, 0.25)
    y = c.y - horizon
    for channel, a in zip(c.rgb, over, strict=True):
        channel += a * (1 + reach * y)
    # Far things: hills, roofs and clouds outside; a window, a picture and stripes inside.
    for _ in range(2):
        tone = d.uniform(0.45, 0.95)
        x, a, b = d.uniform(-0.5, 0.5), d.uniform(0.15, 0.45), d.uniform(0.05, 0.25)
        hill = _either(d.chance(0.6), c.ellipse(x, horizon, a, b), c.box(x, horizon, a * 0.4, b))
        c.paint(hill, (over * 0.4 + under * 0.6) * tone, shade=0, opacity=outside & d.chance(0.6))
    for _ in range(2):
        x, high, a = d.uniform(-0.45, 0.45), d.uniform(0.6, 0.98), d.uniform(0.08, 0.2)
        cloud = d.colour((0xF4F4F0, 0xE8E0D0, 0xF0D890, 0xA8B0B8))
        c.paint(c.ellipse(x, high, a, a * d.uniform(0.35, 1)), cloud, shade=0,
                opacity=(outside & d.chance(0.5)) * np.float32(0.85))
        c.paint(c.box(x, high, a, a * d.uniform(0.6, 1.4)), d.colour(_ANY), (x, high), (a, a), 0.6,
                ~outside & d.chance(0.35))
    angle, pitch = d.number((0, 0, 1.5708, 0.7854)), d.uniform(25, 60)
    stripes = np.sin((np.cos(angle) * c.x + np.sin(angle) * c.y) * pitch)
    lined = stripes * ((~outside & d.chance(0.4)) * d.uniform(0.02, 0.1))
    c.rgb *= 1 + lined
    near = under * (1 + d.uniform(-0.5, 0.5) * y)
    c.paint(y, near, shade=0)
    planks = (~outside & d.chance(0.4)) * np.float32(0.08)
    c.rgb *= 1 + planks * np.sin(c.x * 40 / (1.2 - y)) * (y < 0)
    # A texture: two colours and a gradient of any direction.
    one, two = d.colour(_GROUND + _ANY[3:6]), d.colour(_WALL + _SKY)
    blend = np.clip(0.5 + wide * d.uniform(0, 1.2) + coarse * d.uniform(0.1, 0.8), 0, 1)
    for channel, a, b in zip(c.rgb, one, two, strict=True):
        channel += neutral * (a + (b - a) * blend - channel)
    grain = coarse * d.uniform(0.03, 0.2) + fine * d.uniform(0.02, 0.16)
    c.rgb *= 1 + grain
    return neutral


def _clutter(c, d, count, high, low, largest):
    for _ in range(count):
        x, y = d.uniform(-0.55, 0.55), d.uniform(low, high)
        a = d.uniform(0.03, largest)
        b = a * d.uniform(0.5, 1.6)
        slant = d.uniform(-0.12, 0.12)
        kind = d.uniform()
        shape = _either(kind < 0.4, c.ellipse(x, y, a, b), _either(
            kind < 0.7, c.box(x, y, a, b), c.line(x, y - b, x + slant, y + b, a * 0.3)))
        c.paint(shape, d.colour(_ANY), (x, y), (a, b), 0.8, d.chance(0.6))


def _labels(seed, split, index):
    """Every ten pictures that follow each other hold every class once, in any order."""
    size = len(CLASS_NAMES)
    shuffled = np.argsort(draws(seed, split + 2, index // size, size), -1, kind="stable")
    return np.take_along_axis(shuffled, (index % size)[:, None], -1)[:, 0].astype(np.int64)


def _draw(seed, split, index, size):
    labels = _labels(seed, split, index)
    n = len(index)
    numbers = draws(seed, split, index, _NUM_DICE + sum(k * k for k in _LATTICES))
    dice = _Dice(numbers[:, :_NUM_DICE])
    coarse, fine = _noise(numbers[:, _NUM_DICE:], size)

    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.broadcast_arrays(at[None, None, :] - 0.5, 0.5 - at[None, :, None])
    scene = dice.columns(0, 20)
    # The camera: its tilt turns everything.
    tilt = scene.uniform(-0.1, 0.1)
    x, y = np.cos(tilt) * x + np.sin(tilt) * y, np.cos(tilt) * y - np.sin(tilt) * x
    y = y + 0.5
    azimuth, strength = scene.uniform(-0.9, 0.9), scene.uniform(0.08, 0.4)
    light = (np.sin(azimuth), np.cos(azimuth), strength)
    scale = scene.uniform(0.3, 0.46)
    left, base = scene.uniform(-0.14, 0.14), scene.uniform(0.0, 1.0) * (1 - 2 * scale) * 0.9 + 0.02
    horizon = base + scene.uniform(-0.02, 0.32)

    c = _Canvas(np.zeros((3, n, size, size), np.float32), x, y, np.float32(1 / size), light, fine,
                scene.uniform(0, 0.22))
    neutral = _backdrop(c, dice.columns(20, 180), labels, coarse, fine, horizon)
    _clutter(c, dice.columns(180, 250), 4, 0.8, 0.05, 0.11)
    cast = scene.uniform(0.0, 0.5) * ~neutral
    side = scene.uniform(-0.3, 0.3) * scale
    c.paint(c.ellipse(left + side, base + 0.01, scale * 0.8, scale * 0.16), np.zeros(3, np.float32),
            shade=0, opacity=cast)

    lean, stretch = scene.uniform(-0.12, 0.12), scale * scene.uniform(0.85, 1.18)
    mirror = scene.number((-1, 1))
    p, q = (x - left), (y - base - scale)
    u = (np.cos(lean) * p + np.sin(lean) * q) / stretch * mirror
    v = (np.cos(lean) * q - np.sin(lean) * p) / scale
    things = dice.columns(250, 340)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        thing = _Canvas(c.rgb[:, rows], u[rows], v[rows], 1 / (size * scale[rows]),
                        (light[0][rows] * mirror[rows], light[1][rows], light[2][rows]),
                        fine[rows], c.texture[rows])
        _DRAW[CLASS_NAMES[label]](thing, things.rows(rows))
        c.rgb[:, rows] = thing.rgb
    _clutter(c, dice.columns(340, 380), 2, 0.25, 0.0, 0.08)

    camera = dice.columns(380, 400)
    gain = camera.uniform(0.8, 1.15) * np.stack([camera.uniform(0.92, 1.08) for _ in range(3)])
    haze = camera.uniform(0, 0.15)
    c.rgb *= gain * (1 - haze)
    c.rgb += haze * camera.uniform(0.2, 0.9)
    speckle = camera.uniform(0, 0.07)
    for k in range(3):  # the fine field, flipped in three ways, passes for three channels' noise
        flipped = (fine[:, ::-1], fine[:, :, ::-1], fine[:, ::-1, ::-1])[k]
        c.rgb[k] += speckle * flipped
    pictures = np.clip(c.rgb * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.moveaxis(pictures, 0, -1), labels


def render(split, index, size=32, seed=0):
    """The pictures of a split at the given places.

    Returns:
        uint8 `[n, size, size, 3]` and int64 `[n]`.
    """
    if split not in SPLITS:
        raise ValueError(unknown_name("split of scenes", split, SPLITS))
    if not isinstance(size, int | np.integer) or not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size is an integer from {SIZES[0]} to {SIZES[1]}. Received: {size!r}")
    index = np.asarray(index, np.int64)
    number = list(SPLITS).index(split)
    images = np.empty((len(index), size, size, 3), np.uint8)
    labels = np.empty(len(index), np.int64)
    step = max(1, _PIXELS_AT_ONCE // size**2)
    for start in range(0, len(index), step):
        part = slice(start, start + step)
        images[part], labels[part] = _draw(seed, number, index[part], int(size))
    return images, labels


def load(split, size=32, count=None, seed=0):
    """A split of the scenes as arrays.

    Args:
        split: "train" (6000 pictures) or "test" (1000).
        size: side of the pictures in pixels; a scene is the same at any size.
        count: only the first `count` pictures. Every ten hold every class once.
        seed: another seed is another data set.

    Returns:
        uint8 `[n, size, size, 3]` and int64 `[n]`, whose names are in `CLASS_NAMES`.
    """
    total = SPLITS.get(split, 0)
    if split in SPLITS and count is not None and not (
            isinstance(count, int | np.integer) and 0 <= count <= total):
        raise ValueError(f"count is an integer from 0 to {total} for the {split} split. "
                         f"Received: {count!r}")
    return render(split, np.arange(total if count is None else count), size, seed)
