"""Surface normals by a fully convolutional network over 40 codewords (Wang et al., ICCV 2017)."""

import numpy as np
from keras import ops

from keras_pretext.data import draws
from keras_pretext.evaluation.fcn import check_dense, check_options, run_fcn
from keras_pretext.evaluation.segmentation import pixel_loss

PROTOCOL = "wang2017-surface-normals"
BELOW = (11.25, 22.5, 30.0)  # degrees
IGNORE = -1


def codewords(normals, count=40, iterations=100, seed=0):
    """Unit vectors `(count, 3)` that stand for many: spherical k-means.

    Args:
        normals: unit vectors `(n, 3)`, n at least `count`.

    Raises:
        ValueError: for fewer.
    """
    normals = np.asarray(normals, np.float64)
    if len(normals) < count:
        raise ValueError(f"{count} codewords need as many normals. Received: {len(normals)}")
    rng = np.random.default_rng(seed)
    centres = normals[rng.choice(len(normals), 1)]
    while len(centres) < count:  # k-means++: far ones are likelier
        far = np.maximum(1 - (normals @ centres.T).max(1), 0)
        far = far if far.sum() > 0 else np.ones(len(normals))
        centres = np.concatenate([centres, normals[rng.choice(len(normals), 1,
                                                              p=far / far.sum())]])
    for _ in range(iterations):
        nearest = (normals @ centres.T).argmax(1)
        sums = np.stack([np.bincount(nearest, column, count) for column in normals.T], 1)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        moved = np.where(length > 1e-9, sums / np.maximum(length, 1e-9), centres)
        if np.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    return centres.astype("float32")


def angle_figures(angles):
    """The five figures from the angles of all valid pixels of all pictures, in degrees.

    Returns:
        dict: `mean`, `median`, and the part of the pixels `below_11.25`, `below_22.5`, `below_30`.

    Raises:
        ValueError: where there is no pixel.
    """
    angles = np.concatenate([np.ravel(x) for x in angles]) if len(angles) else np.zeros(0)
    if not len(angles):
        raise ValueError("the angle figures need a pixel that is valid. Received: none")
    return {"mean": float(angles.mean(dtype=np.float64)), "median": float(np.median(angles)),
            **{f"below_{limit:g}": float((angles < limit).mean()) for limit in BELOW}}


def angles_between(truth, answer):
    """Angles in degrees, `(n,)`, of vectors `(n, 3)`, of any length but zero."""
    truth, answer = (np.asarray(x, np.float64) for x in (truth, answer))
    cosine = (truth * answer).sum(-1) / (np.linalg.norm(truth, axis=-1)
                                         * np.linalg.norm(answer, axis=-1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def known(normals):
    """Which pixels have a normal: bool `(H, W)`; unknown ones are zero or not finite."""
    with np.errstate(invalid="ignore"):
        return np.abs(np.linalg.norm(normals, axis=-1) - 1) < 0.1


def sample_normals(source, a_picture=500, seed=0):
    """Unit normals `(n, 3)` of random known pixels of every picture of a source."""
    found = []
    for k in range(source.num_examples):
        normals = np.asarray(source.pixels("normals", k), np.float32)
        normals = normals[known(normals)]
        places = k * a_picture + np.arange(min(a_picture, len(normals)))
        chosen = draws.draws(seed, 0, places, 1)[:, 0]
        found.append(normals[(chosen * len(normals)).astype(int)])
    found = np.concatenate(found)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def surface_normals(model, train, test, taps=None, codes=40, **options):
    """`wang2017-surface-normals`: angles between predicted and true normals of NYU depth pictures.

    `codes` codewords are found by k-means of the training normals; a fully convolutional network
    with the options of `segmentation` tells for each pixel which is nearest; the answer is the
    likeliest codeword (Wang, He & Gupta, 2017, section 6.4; FCN-32s on VGG-16, 100,000
    iterations). How many pixels are right is pooled over all valid pixels of all test pictures.

    Args:
        train, test: sources with normals: an .npz with `normals` `(n, H, W, 3)`, unit vectors,
            zero where they are not known (the papers' normals and masks are Ladický's and
            Fouhey's; TFDS has none).
        taps, options: see `segmentation`.

    Returns:
        ProbeResult with one entry, the tap; "last" is the part of the pixels below 11.25 degrees,
        `details` has all five figures.

    Raises:
        ValueError: for normals that cannot serve, an unknown tap, a loss that is not finite.
    """
    check_options(options)
    check_dense(train, test, "normals")
    for role, source in (("training", train), ("test", test)):
        if not any(known(source.pixels("normals", k)).any() for k in range(source.num_examples)):
            raise ValueError(f"the {role} split has a normal of unit length somewhere. "
                             f"Received: none in {source.name!r}, split {source.split!r}")
    words = codewords(sample_normals(train), codes)

    def target(k, mirrored):
        normals = np.asarray(train.pixels("normals", k), np.float32)
        if mirrored:
            normals = normals[:, ::-1] * np.float32([-1, 1, 1])
        nearest = (np.nan_to_num(normals) @ words.T).argmax(-1)
        return np.where(known(normals), nearest, IGNORE).astype(np.int32)

    def score(answers):
        angles = []
        for k, answer in answers(lambda scores: ops.argmax(scores, -1)):
            normals = test.pixels("normals", k)
            valid = known(normals)
            angles.append(angles_between(normals[valid], words[answer[valid]]))
        figures = angle_figures(angles)
        return figures["below_11.25"], figures

    result = run_fcn(PROTOCOL, "pixels within 11.25 degrees", model, train, test, codes, target,
                     IGNORE, pixel_loss(IGNORE), score, taps, **options)
    result.settings["codes"] = codes
    return result
