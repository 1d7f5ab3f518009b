"""t-SNE: features in the plane, near ones near (van der Maaten and Hinton, JMLR 2008)."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def tsne(vectors, perplexity=30.0, seed=0):
    """Places in the plane for feature vectors.

    Args:
        vectors: float `(n, channels)`.
        perplexity: about how many neighbours a point minds; below n.
        seed: of the method's first guess, where that is random.

    Returns:
        float32 `(n, 2)`, scaled to [0, 1] with one scale for both axes.

    Raises:
        ImportError: where scikit-learn is not installed.
        ValueError: for fewer than four vectors, values that are not finite, or a perplexity that
            is not between 0 and n.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ImportError("t-SNE needs scikit-learn: pip install 'keras_pretext[tsne]'") from None
    vectors = np.asarray(vectors, "float32")
    if vectors.ndim != 2 or len(vectors) < 4 or not np.isfinite(vectors).all():
        raise ValueError("vectors are finite numbers (n, channels), n at least 4. "
                         f"Received: {vectors.dtype} {vectors.shape}")
    if not 0 < perplexity < len(vectors):
        raise ValueError(f"the perplexity is between 0 and the {len(vectors)} vectors. "
                         f"Received: {perplexity!r}")
    places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    places = places - places.min(0)
    return (places / max(float(places.max()), 1e-12)).astype("float32")


def scatter(places, labels=None, names=None, pictures=None, side=640):
    """Draws places in the unit square: small pictures where given, else dots, coloured by label.

    Args:
        places: float `(n, 2)` in [0, 1].
        labels: int `(n,)`, or None; below 0 is grey.
        names: of the labels, for the legend (at most 20 are written).
        pictures: uint8 `(n, height, width, 3)`, or None.
        side: of the square, in pixels.

    Returns:
        a PIL image.
    """
    places = np.asarray(places, "float64")
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"places are (n, 2). Received: {places.shape}")
    for what, given in (("labels", labels), ("pictures", pictures)):
        if given is not None and len(given) != len(places):
            raise ValueError(f"there is one of the {what} a place, {len(places)}. "
                             f"Received: {len(given)}")
    legend = [] if labels is None or names is None else [*names][:20]
    font, margin, thumb = ImageFont.load_default(13), 20, 24
    sheet = Image.new("RGB", (side, side + 22 * -(-len(legend) // 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (x, y) in enumerate(margin + places * (side - 2 * margin)):
        if pictures is not None:
            picture = Image.fromarray(np.asarray(pictures[k], np.uint8)).resize((thumb, thumb))
            sheet.paste(picture, (round(x - thumb / 2), round(y - thumb / 2)))
        else:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3),
                         fill=color(-1 if labels is None else int(labels[k])))
    for k, name in enumerate(legend):
        x, y = margin + k % 4 * (side - 2 * margin) // 4, side + k // 4 * 22
        draw.ellipse((x, y + 4, x + 9, y + 13), fill=color(k))
        draw.text((x + 14, y), str(name)[:18], fill="black", font=font)
    return sheet


def color(label):
    """RGB of a label, neighbours far apart; grey below 0."""
    if label < 0:
        return 150, 150, 150
    share = colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.85, (0.85, 0.6)[label // 2 % 2])
    return tuple(round(255 * part) for part in share)
