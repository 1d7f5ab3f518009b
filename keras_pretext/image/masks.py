"""Which pixels of a picture are dropped: pure functions of a few draws for each picture.

Masks are bool `(batch, size, size)`, True where a pixel is dropped.
"""

from keras import ops

from keras_pretext.image.noise import uniform

BLOCKS = 4  # of `random_blocks`
BLOCK_DRAWS = 3 * BLOCKS
REGION_DRAWS = 4
AREA = (0.2, 0.3)  # of random regions
_RESOLUTION = 0.06  # cells of the noise a pixel


def central_block(count, size, side):
    """A square of `side` pixels in the middle of each of `count` pictures."""
    start = (size - side) // 2
    place = ops.arange(size, dtype="int32")
    inside = (place >= start) & (place < start + side)
    return ops.broadcast_to(inside[None, :, None] & inside[None, None, :], (count, size, size))


def random_blocks(draws, size):
    """Four squares a picture, of an eighth to a quarter of its side each; they may overlap.

    Together they cover at most a quarter of the picture.

    Args:
        draws: float32 `(batch, BLOCK_DRAWS)` in [0, 1).
    """
    draws = ops.reshape(draws, (-1, BLOCKS, 3))
    low, high = max(1, size // 8), max(1, size // 4)
    side = low + _whole(draws[..., 0] * (high - low + 1))
    room = ops.cast(size - side + 1, "float32")
    start = [_whole(draws[..., k] * room) for k in (1, 2)]
    place = ops.arange(size, dtype="int32")
    rows, columns = ((place >= s[..., None]) & (place < (s + side)[..., None]) for s in start)
    return ops.any(rows[:, :, :, None] & columns[:, :, None, :], axis=1)


def random_regions(draws, size):
    """Arbitrary shapes that cover a share of each picture that is uniform in `AREA`.

    Noise at 6 % of the resolution, enlarged bicubically and cut at a threshold (the authors'
    train_random.lua). There the threshold is fixed and windows are drawn until the area fits; here
    the threshold is the quantile that gives the area, a mask for each picture.

    Args:
        draws: float32 `(batch, REGION_DRAWS)`: noise, area, and the two shifts of the pattern.
    """
    cells = int(size * _RESOLUTION) + 5
    noise = uniform(draws[:, 0], (cells, cells))
    rows, columns = (_cubic(1.0 + draws[:, k], size, cells) for k in (2, 3))
    field = ops.matmul(ops.matmul(rows, noise), ops.swapaxes(columns, 1, 2))
    low, high = AREA
    count = ops.cast((low + (high - low) * draws[:, 1]) * (size * size), "int32")
    ordered = ops.sort(ops.reshape(field, (-1, size * size)), axis=1)
    threshold = ops.take_along_axis(ordered, count[:, None], axis=1)
    return field < threshold[:, :, None]


def _cubic(start, size, cells):
    """Keys' cubic kernel (a = -0.5): weights `(batch, size, cells)` from cell `start` on."""
    place = start[:, None] + (ops.arange(size, dtype="float32") + 0.5) * _RESOLUTION
    x = ops.abs(place[:, :, None] - ops.arange(cells, dtype="float32"))
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return ops.where(x < 1.0, near, ops.where(x < 2.0, far, 0.0))


def grown(mask, pixels):
    """A mask with all that lies within `pixels` rows and columns of it."""
    if not pixels:
        return mask
    x = ops.cast(mask[..., None], "float32")
    return ops.max_pool(x, 2 * pixels + 1, 1, "same")[..., 0] > 0.0


def _whole(x):
    return ops.cast(ops.floor(x), "int32")
