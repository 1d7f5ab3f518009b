"""How often each of the 313 colours stands in a data set, and what each should weigh for it."""

import functools
import json
import pathlib

import numpy as np
from keras import ops

from keras_pretext.image import color_codes
from keras_pretext.image.color import AB_BINS
from keras_pretext.registry import unknown_name

IMAGES = 20_000  # how many pictures are enough
STRIDE = 4  # of the pixels that are counted
_FOLDER = pathlib.Path(__file__).parent / "color_priors"


def count(source, images=IMAGES, stride=STRIDE):
    """Counts the nearest bins of every `stride`-th pixel of pictures that have colour.

    Args:
        source: a `Source`.
        images: how many pictures at most, evenly spread over the source.

    Returns:
        dict: `counts`, int64 `(313,)`; `images`, how many pictures were looked at, and `grey`, how
        many of them have no |a| or |b| above 5 and were left out.
    """
    total = source.num_examples
    index = np.unique(np.linspace(0, total - 1, min(images, total)).round().astype("int64"))
    nearest = color_codes.neighbour_table()[0][:, 0]
    counts, grey = np.zeros(len(AB_BINS), "int64"), 0
    for _, pictures in source.pictures(index):
        ab = color_codes.sparse_ab(ops.convert_to_tensor(pictures), stride)
        skipped = ops.convert_to_numpy(color_codes.without_colour(ab))
        codes = ops.convert_to_numpy(color_codes.to_codes(ab))[~skipped]
        counts += np.bincount(nearest[codes.ravel()], minlength=len(AB_BINS))
        grey += int(skipped.sum())
    return {"counts": counts, "images": len(index), "grey": grey}


def check_colour(source, images=IMAGES):
    """`count` of a source. Raises ValueError where none of the pictures has colour."""
    found = count(source, images)
    if found["grey"] == found["images"]:
        raise ValueError("there is no colour to learn: none of the "
                         f"{found['images']} pictures looked at has |a| or |b| above "
                         f"{color_codes.GREYEST:g}, they are grey. Colorization needs pictures in "
                         f"colour. Received: {source.name!r}")
    return found


@functools.lru_cache(maxsize=4)
def _kernel(sigma):
    """How much of bin j's mass goes to bin i: columns sum to 1."""
    distance = ((AB_BINS[:, None].astype("float64") - AB_BINS[None]) ** 2).sum(-1)
    kernel = np.exp(-distance / (2.0 * sigma**2))
    return kernel / kernel.sum(0)


def smoothed(counts, sigma=5.0):
    """Shares of the bins after a Gaussian kernel in the ab plane: float64 `(313,)`, sum 1.

    In ab units, not along the list of bins. About 50 bins are the nearest of no sRGB colour, and
    have a share only by that.
    """
    counts = np.asarray(counts, "float64")
    return _kernel(sigma) @ (counts / counts.sum())


def rebalancing(counts, mix=0.5, sigma=5.0):
    """Weights of the bins, the rarer the larger: float64 `(313,)`.

    1 / ((1 - mix) p + mix / 313), p the smoothed shares, scaled so that the mean under p is 1
    (Zhang et al., ECCV 2016, equation 4; mix is their lambda).
    """
    p = smoothed(counts, sigma)
    weights = 1.0 / ((1.0 - mix) * p + mix / len(p))
    return weights / (p * weights).sum()


def shipped():
    """The names of the priors that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def resolve(prior):
    """The counts of a prior as a list of 313 integers.

    Args:
        prior: the name of a shipped one ("tiny_imagenet_part", "cifar10_jpeg"), the path of a file
            that `keras-pretext color-prior` wrote, or 313 counts.

    Raises:
        ValueError: for an unknown name, a damaged file, or what are no counts.
    """
    counts = prior
    if isinstance(prior, str | pathlib.Path):
        path = _FOLDER / f"{prior}.json"
        if not path.is_file():
            path = pathlib.Path(prior)
        if not path.is_file():
            raise ValueError(unknown_name("colour prior (or file)", str(prior),
                                          ["data", *shipped()]))
        try:
            counts = json.loads(path.read_text())["counts"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError("a colour prior is a JSON file with `counts`, as keras-pretext "
                             f"color-prior writes it. Received: {path}") from None
    try:
        array = np.asarray(counts, "float64")
    except (TypeError, ValueError):
        array = np.zeros(0)
    if (array.shape != (len(AB_BINS),) or not np.isfinite(array).all() or (array < 0).any()
            or not array.sum() > 0):
        raise ValueError(f"a colour prior is {len(AB_BINS)} counts, none negative, not all 0. "
                         f"Received: {str(prior)[:80]}")
    return [int(c) if c == int(c) else float(c) for c in array]


def write(path, source, images=IMAGES):
    """Counts a source's colours into a JSON file; returns what it holds."""
    found = check_colour(source, images)
    found = {"data": source.name, "split": source.split, "fingerprint": source.fingerprint(),
             "images": found["images"], "grey": found["grey"], "stride": STRIDE,
             "counts": found["counts"].tolist()}
    pathlib.Path(path).write_text(json.dumps(found) + "\n")
    return found
