"""A folder of pictures, at any depth; the first level of folders are the classes."""

import concurrent.futures
import os
import pathlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_pretext.data.decode import is_plain, to_plain, truncated
from keras_pretext.data.source import DataError, Source, digest

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SMALLEST = 8  # pixels of the short side; less holds no picture


def _inspect(path):
    """`(plain, size, None)` of a readable picture, or `(None, None, reason)`."""
    try:
        with Image.open(path) as picture:
            if min(picture.size) < SMALLEST:
                return None, None, f"smaller than {SMALLEST} pixels: {picture.size}"
            plain, size = is_plain(picture), picture.size
            if not plain:
                picture.load()
                return False, size, None
        with open(path, "rb") as file:
            head = file.read(8)
            file.seek(max(0, os.path.getsize(path) - 64))
            if truncated(head + file.read()):
                return None, None, "truncated"
        return True, size, None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError,
            Image.DecompressionBombError) as error:
        return None, None, str(error) or type(error).__name__


class ImageFolder(Source):
    """Every picture below a folder, sorted by path; hidden files are passed over.

    Labels exist where all pictures lie in two or more first-level folders. A sub-folder named
    like the split ("train", "test", ...) is taken where there is one.

    Raises:
        DataError: no such folder, no pictures, or more than 1 % that cannot be read.
    """

    encoded = True

    def __init__(self, path, split="train"):
        super().__init__()
        path = pathlib.Path(path).expanduser()
        if not path.is_dir():
            raise DataError(f"there is no such folder. Received: {str(path)!r}")
        self.name, self.split = f"folder:{path}", split
        if (path / split).is_dir():
            path = path / split
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()
                       and not any(part.startswith(".") for part in p.relative_to(path).parts))
        if not files:
            raise DataError(f"there are no pictures ({', '.join(SUFFIXES)}) in this folder. "
                            f"Received: {str(path)!r}")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            seen = list(pool.map(_inspect, files))
        good = []
        for file, (plain, size, reason) in zip(files, seen, strict=True):
            if reason:
                self.skipped.append((str(file), reason))
            else:
                good.append((file, plain, size))
        self.check_skipped(len(files))
        self.paths = [str(file) for file, _, _ in good]
        self._plain = np.array([plain for _, plain, _ in good])
        sizes = {size for _, _, size in good}
        width, height = sizes.pop() if len(sizes) == 1 and self._plain.all() else (None, None)
        self.uniform_shape = (height, width, 3) if width else None
        self.num_examples = len(good)
        parts = [file.relative_to(path).parts for file, _, _ in good]
        classes = sorted({p[0] for p in parts if len(p) > 1})
        self._labels = None
        if len(classes) > 1 and all(len(p) > 1 for p in parts):
            self.class_names = tuple(classes)
            self._labels = np.array([classes.index(p[0]) for p in parts], np.int64)

    def fetch(self, index):
        import tensorflow as tf

        if not hasattr(self, "_tensors"):
            with tf.init_scope():
                labels = np.full(len(self.paths), -1) if self._labels is None else self._labels
                self._tensors = (tf.constant(self.paths), tf.constant(self._plain),
                                 tf.constant(labels, tf.int64))
        paths, plain, labels = (tf.gather(t, index) for t in self._tensors)
        encoded = tf.io.read_file(paths)
        encoded = tf.cond(plain, lambda: encoded,
                          lambda: tf.numpy_function(to_plain, [encoded], tf.string, stateful=False))
        return {"image": tf.reshape(encoded, []), "label": labels}

    def arrays(self, limit=None):
        if self.uniform_shape is None:
            raise DataError("the pictures of this folder differ in size; arrays need one size. "
                            f"Received: {self.name!r}")
        paths = self.paths[:limit]
        images = np.stack([np.asarray(Image.open(p).convert("RGB")) for p in paths])
        return images, None if self._labels is None else self._labels[:limit]

    def labels(self):
        if self._labels is None:
            raise self.no_labels()
        return self._labels

    def fingerprint(self):
        return digest(*(f"{os.path.basename(p)}:{os.path.getsize(p)}\n" for p in self.paths))
