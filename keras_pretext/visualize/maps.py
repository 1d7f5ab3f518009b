"""Feature maps of a handful of pictures, for drawing."""

import keras
import numpy as np


def backbone_of(model):
    """The backbone of a PretextModel or of what `zoo.load` gives, or the backbone itself."""
    found = getattr(model, "backbone", model)
    if not hasattr(found, "taps"):
        raise ValueError("what is looked into is a Backbone, or a model that has one as "
                         f"`.backbone`. Received: {type(model).__name__}")
    return found


def checked(images):
    """uint8 `(n, size, size, 3)`, square: as they are. Raises ValueError for others, or none."""
    images = np.asarray(images)
    if (images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8
            or images.shape[1] != images.shape[2] or not images.size):
        raise ValueError("pictures are uint8 (n, size, size, 3), square, at least one. "
                         f"Received: {images.dtype} {images.shape}")
    return images


def maps_of(model, images, taps, pooling=None, batch_size=64):
    """What a frozen network answers, in evaluation mode.

    Args:
        images: uint8 `(n, size, size, 3)`.
        taps: a tap's name or a list of names.
        pooling: None for maps, "avg" for `(n, channels)`.

    Returns:
        float32 `(n, height, width, channels)` of a name, a dict of a list.

    Raises:
        ValueError: for an unknown tap (with the nearest), or features that are not finite.
    """
    extractor = backbone_of(model).extractor(taps, pooling)
    parts = []
    for start in range(0, len(images), batch_size):
        answer = extractor(np.ascontiguousarray(images[start:start + batch_size]), training=False)
        parts.append(keras.tree.map_structure(
            lambda t: keras.ops.convert_to_numpy(t).astype("float32"), answer))
    found = keras.tree.map_structure(lambda *p: np.concatenate(p), *parts)
    for values in keras.tree.flatten(found):
        if not np.isfinite(values).all():
            raise ValueError(f"the features of {taps} are not finite. "
                             f"Received: {backbone_of(model).name}")
    return found
