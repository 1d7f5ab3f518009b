"""Frames in which something moves, and its mask: drawn on the spot, for smoke tests."""

import numpy as np

from keras_pretext.data.arrays import ArraySource


def moving_source(split, size=32):
    """The embedded scenes, a part of another scene in an ellipse of each; that ellipse is the mask.

    A still frame gives it away by its edge and by what does not belong there.
    """
    from keras_pretext.data import scenes

    images, labels = scenes.load(split, size=size)
    count = len(images)
    rng = np.random.default_rng([len(split), count])
    centre = rng.uniform(0.25, 0.75, (count, 2)) * size
    radius = rng.uniform(0.12, 0.3, (count, 2)) * size
    line = np.arange(size) + 0.5
    y, x = (((line - centre[:, k, None]) / radius[:, k, None]) ** 2 for k in (0, 1))
    mask = y[:, :, None] + x[:, None] < 1
    frames = np.where(mask[..., None], images[rng.permutation(count)], images)
    return ArraySource(frames, labels, "moving", split, scenes.CLASS_NAMES,
                       dense={"mask": mask.astype("uint8")})
