"""Pictures of one size, held as arrays: `.npz` files and the embedded scenes."""

import pathlib
import zipfile
import zlib

import numpy as np

from keras_pretext.data.source import DataError, Source, digest
from keras_pretext.registry import unknown_name

DENSE = {"mask": (), "depth": (), "normals": (3,)}  # what a pixel has


class ArraySource(Source):
    """uint8 pictures `(n, H, W, 3)` (or `(n, H, W)`, grey) and labels `(n,)` or None.

    Args:
        multi_labels: integers `(n, classes)`: 1 present, 0 absent, -1 difficult.
        class_names: of either kind of labels.
        dense: `{kind: array}` of what `pixels` gives: "mask" integers `(n, H, W)`, "depth"
            `(n, H, W)`, "normals" `(n, H, W, 3)`.
    """

    def __init__(self, images, labels=None, name="arrays", split="train", class_names=None,
                 multi_labels=None, dense=None):
        super().__init__()
        images = np.asarray(images)
        if images.ndim == 3:
            images = np.repeat(images[..., None], 3, -1)
        if images.ndim == 4 and images.shape[-1] == 1:
            images = np.repeat(images, 3, -1)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise DataError("images are uint8 (n, height, width, 3), or grey (n, height, width). "
                            f"Received: {images.dtype} {images.shape}")
        if not len(images):
            raise DataError(f"there are no pictures. Received: {name!r}")
        if labels is not None and np.shape(labels) != (len(images),):
            raise DataError(f"labels are one integer a picture, ({len(images)},). "
                            f"Received: shape {np.shape(labels)}")
        if labels is not None and np.asarray(labels).dtype.kind not in "iu":
            raise DataError("labels are integers. "
                            f"Received: {np.asarray(labels).dtype} in {name}")
        self._images = images
        self._labels = None if labels is None else np.asarray(labels).astype(np.int64)
        self._multi_labels = _checked_multi_labels(multi_labels, len(images), name)
        if self._multi_labels is not None:
            count = self._multi_labels.shape[1]
            self.multi_label_names = tuple(class_names or (str(k) for k in range(count)))
            if labels is None:
                class_names = None
        if class_names is None and labels is not None:
            class_names = [str(k) for k in range(int(self._labels.max()) + 1)]
        self.class_names = None if class_names is None else tuple(class_names)
        self._dense = {kind: _checked_dense(kind, values, images.shape)
                       for kind, values in (dense or {}).items()}
        self.dense = tuple(self._dense)
        self.name, self.split = name, split
        self.num_examples, self.uniform_shape = len(images), images.shape[1:]

    @classmethod
    def from_npz(cls, path, split="train"):
        """From arrays `images` and `labels`, or `<split>_images` and `<split>_labels`."""
        path = pathlib.Path(path).expanduser()
        if not path.is_file():
            raise DataError(f"there is no such .npz file. Received: {str(path)!r}")
        if not zipfile.is_zipfile(path):
            raise DataError(f"this file is not an .npz, or it is cut off. Received: {path}")
        try:
            with np.load(path, allow_pickle=False) as file:
                own = f"{split}_images" in file.files
                prefix = f"{split}_" if own else ""
                if f"{prefix}images" not in file.files:
                    raise DataError(f"an .npz holds `images` or `{split}_images`. "
                                    f"Received: {sorted(file.files)} in {path}")
                images = file[f"{prefix}images"]
                key = f"{prefix}labels"
                labels = file[key] if key in file.files else None
                key = f"{prefix}multi_labels"
                multi_labels = file[key] if key in file.files else None
                dense = {kind: file[f"{prefix}{kind}"] for kind in DENSE
                         if f"{prefix}{kind}" in file.files}
        except DataError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise DataError(f"this .npz cannot be read ({error}). Received: {path}") from None
        return cls(images, labels, f"npz:{path}", split, multi_labels=multi_labels,
                   dense=dense)

    def fetch(self, index):
        import tensorflow as tf

        if not hasattr(self, "_tensor"):
            with tf.init_scope():
                self._tensor = tf.constant(self._images)
                labels = np.full(len(self._images), -1) if self._labels is None else self._labels
                self._label_tensor = tf.constant(labels, tf.int64)
        return {"image": tf.gather(self._tensor, index),
                "label": tf.gather(self._label_tensor, index)}

    def arrays(self, limit=None):
        return self._images[:limit], None if self._labels is None else self._labels[:limit]

    def labels(self):
        if self._labels is None:
            raise self.no_labels()
        return self._labels

    def multi_labels(self):
        return super().multi_labels() if self._multi_labels is None else self._multi_labels

    def pixels(self, kind, k):
        return self._dense[kind][k] if kind in self._dense else super().pixels(kind, k)

    def fingerprint(self):
        labels = [x for x in (self._labels, self._multi_labels, *self._dense.values())
                  if x is not None]
        return digest(str(self._images.shape), self._images, *labels)


def scenes_source(split, size=32):
    """The embedded procedural scenes as a source."""
    from keras_pretext.data import scenes

    images, labels = scenes.load(split, size=size)
    return ArraySource(images, labels, "scenes", split, scenes.CLASS_NAMES)


def _checked_multi_labels(labels, count, name):
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.ndim != 2 or len(labels) != count or not np.isin(labels, (-1, 0, 1)).all():
        raise DataError(f"multi_labels are ({count}, classes) of 1 present, 0 absent, "
                        f"-1 difficult. Received: {labels.dtype} {labels.shape} with values "
                        f"{np.unique(labels)[:5].tolist()} in {name!r}")
    return labels.astype(np.int8)


def _checked_dense(kind, values, shape):
    if kind not in DENSE:
        raise DataError(unknown_name("kind of dense labels", kind, DENSE))
    values = np.asarray(values)
    wanted = (*shape[:3], *DENSE[kind])
    if values.shape != wanted or values.dtype.kind not in ("iu" if kind == "mask" else "f"):
        numbers = "integers" if kind == "mask" else "floats"
        raise DataError(f"{kind} has {numbers} for each pixel of the pictures, {wanted}. "
                        f"Received: {values.dtype} {values.shape}")
    return values
