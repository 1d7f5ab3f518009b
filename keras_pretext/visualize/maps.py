"""Feature maps of a handful of pictures, for drawing."""

import keras
import numpy as np

from keras_pretext.backbones.base import backbone_of


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
