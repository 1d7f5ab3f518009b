"""Pictures as a task's layer needs them: with their masks where it asks for masks."""

import numpy as np

from keras_pretext.data.source import DataError, Source, digest

_WITH = {3: "pictures", 4: "pictures with masks", 6: "pairs of pictures"}


def seen_by(source, layer):
    """The source whose pictures have the channels that a task's layer takes.

    Three are RGB. Four are RGB and the mask, 255 where that is not 0. Six are the two pictures of
    a pair.

    Raises:
        DataError: where the source has no such pictures.
    """
    if source.channels == layer.channels:
        return source
    if layer.channels == 4 and "mask" in source.dense:
        return MaskedSource(source)
    raise unlike(layer, source.name, 4 if "mask" in source.dense else source.channels)


def unlike(layer, name, channels):
    """The DataError for pictures of other channels than a task's layer takes."""
    return DataError(f"this task learns from {_WITH[layer.channels]}. "
                     f"Received: {name!r}, which has {_WITH[channels]}")


class MaskedSource(Source):
    """Another source's pictures and, as their fourth channel, its masks: uint8 `(H, W, 4)`.

    Args:
        source: one with "mask" among `source.dense`; anything but 0 is in the mask.
    """

    channels = 4

    def __init__(self, source):
        super().__init__()
        self._source = source
        self.name, self.split, self.skipped = source.name, source.split, source.skipped
        self.num_examples, self.class_names = source.num_examples, source.class_names
        shape = source.uniform_shape
        self.uniform_shape = None if shape is None else (*shape[:2], 4)

    def _mask(self, k):
        values = np.asarray(self._source.pixels("mask", int(k)))
        return np.where(values[..., None] != 0, 255, 0).astype("uint8")

    def fetch(self, index):
        import tensorflow as tf

        found = self._source.fetch(index)
        image = found["image"]
        if self._source.encoded:
            image = tf.io.decode_image(image, channels=3, expand_animations=False)
        mask = tf.numpy_function(self._mask, [index], tf.uint8, stateful=False)
        image = tf.concat([image, mask], -1)
        return {"image": tf.ensure_shape(image, self.uniform_shape or (None, None, 4)),
                "label": found["label"]}

    def arrays(self, limit=None):
        images, labels = self._source.arrays(limit)
        masks = np.stack([self._mask(k) for k in range(len(images))])
        return np.concatenate([images, masks], -1), labels

    def labels(self):
        return self._source.labels()

    def fingerprint(self):
        return digest("masks", self._source.fingerprint())
