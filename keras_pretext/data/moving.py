"""Frames in which something moves, and pairs of patches: drawn on the spot, for smoke tests."""

import numpy as np

from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.source import Source, digest


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


class DrawnPairs(Source):
    """Pairs as `PairSource` gives them, of the embedded scenes in place of mined patches.

    A scene is a track: two places of it are its first and its last patch, and scenes of one class
    are a parent. Each scene gives an intra pair, and a transitive one with the next of its class.
    """

    channels = 6

    def __init__(self, split, size=32):
        super().__init__()
        from keras_pretext.data import scenes

        images, classes = scenes.load(split, size=size + size // 2)
        count = len(images)
        rng = np.random.default_rng([len(split), count, 2])
        corners = rng.integers(0, size // 2 + 1, (count, 2, 2))
        first, last = (np.stack([x[top:top + size, left:left + size] for x, (top, left) in
                                 zip(images, corners[:, k], strict=True)]) for k in (0, 1))
        next_one = np.empty(count, np.int64)
        for kind in np.unique(classes):
            mine = np.flatnonzero(classes == kind)
            next_one[mine] = np.roll(mine, -1)
        track = np.arange(count)
        self._images = np.concatenate([np.concatenate([first, last], -1),
                                       np.concatenate([first, last[next_one]], -1)])
        self._labels = np.concatenate([np.stack([classes, track, other, np.full(count, intra)], 1)
                                       for other, intra in ((track, 1), (next_one, 0))])
        self.name, self.split = "moving_pairs", split
        self.num_examples, self.uniform_shape = 2 * count, (size, size, 6)

    def fetch(self, index):
        import tensorflow as tf

        if not hasattr(self, "_tensor"):
            with tf.init_scope():
                self._tensor = tf.constant(self._images)
        return {"image": tf.gather(self._tensor, index), "label": tf.constant(-1, tf.int64)}

    def arrays(self, limit=None):
        return self._images[:limit], self._labels[:limit]

    def labels(self):
        return self._labels

    def fingerprint(self):
        return digest(self._images, self._labels)
