"""The pictures that are looked at: some of a source, held in memory."""

import keras
import numpy as np
from PIL import Image

from keras_pretext import data
from keras_pretext.data import scenes
from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.masks import MaskedSource, unlike
from keras_pretext.image.framing import CentreCrop

LONGEST = 640  # pixels of the long side: larger pictures are shrunk
SCENES = 96  # pixels of the embedded scenes, unless asked for otherwise


class Pictures:
    """Some pictures of any sizes. Nothing is opened after they are made.

    Args:
        images: list of uint8 `(height, width, 3)`, or 6 channels, of pairs.
        name: what they are called.
        labels: list of their classes' names, or None.
        masked: list of uint8 `(height, width, 4)`, the pictures with their masks, or None.
    """

    def __init__(self, images, name, labels=None, masked=None):
        self.images, self.name, self.labels, self.masked = images, name, labels, masked
        self._framed = {}

    def __len__(self):
        return len(self.images)

    def rgb(self, k):
        """uint8 `(height, width, 3)`; of a pair the first picture."""
        return np.ascontiguousarray(self.images[k][..., :3])

    def seen_by(self, layer, k):
        """A picture with the channels that a task's layer takes. Raises ValueError for others."""
        channels = self.images[k].shape[-1]
        if layer.channels == 4 and self.masked is not None:
            return self.masked[k]
        if layer.channels == 3:
            return self.rgb(k)
        if layer.channels != channels:
            raise unlike(layer, self.name, channels)
        return self.images[k]

    def framed(self, size):
        """All of them, their central squares, uint8 `(n, size, size, 3)`."""
        if size not in self._framed:
            framing = CentreCrop(size)
            none = keras.ops.zeros((framing.num_draws,))
            self._framed[size] = np.stack([keras.ops.convert_to_numpy(
                framing(keras.ops.convert_to_tensor(self.rgb(k)), none))
                for k in range(len(self))])
        return self._framed[size]


def open_pictures(spec, split="test", count=200):
    """Some pictures of a data set, drawn with a fixed seed; see `Pictures`.

    Args:
        spec: as for `data.open`; of "scenes" the first, at 96 pixels unless it says another size.
            Pictures of a folder that are links out of it are passed over.
        split: which split.
        count: how many, at most.

    Raises:
        ValueError: for a count below 1, or what cannot be opened.
    """
    if count < 1:
        raise ValueError(f"at least 1 picture is looked at. Received: {count}")
    kind, _, size = str(spec).partition(":")
    if kind == "scenes" and (size.isdigit() or spec == "scenes"):
        images, labels = scenes.load(split, int(size or SCENES), min(count, 1000))
        source = ArraySource(images, labels, "scenes", split, scenes.CLASS_NAMES)
    else:
        source = data.open(spec, split, links=False)
    index = np.random.default_rng(0).permutation(source.num_examples)[:count]
    index.sort()
    labels = None
    if source.has_labels:
        labels = [source.class_names[n] for n in np.asarray(source.labels())[index]]
    masked = _read(MaskedSource(source), index) if "mask" in source.dense else None
    return Pictures([shrunk(image) for image in _read(source, index)], str(spec), labels, masked)


def _read(source, index):
    return [image for _, images in source.pictures(index) for image in images]


def shrunk(image, longest=LONGEST):
    """A uint8 RGB picture whose long side is `longest` pixels at most; others as they are."""
    height, width, channels = image.shape
    scale = longest / max(height, width)
    if channels != 3 or scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
