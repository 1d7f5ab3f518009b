"""A folder of pictures, at any depth; the first level of folders are the classes."""

import concurrent.futures
import os
import pathlib
import zlib

import numpy as np
from PIL import Image

from keras_pretext._files import below
from keras_pretext.data.decode import (
    UNREADABLE,
    decode,
    ends,
    is_plain,
    reason,
    to_plain,
    to_rgb,
)
from keras_pretext.data.source import SPLITS, DataError, Source, digest, sampled
from keras_pretext.registry import unknown_name

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SMALLEST = 8  # pixels of the short side; less holds no picture


def _inspect(path):
    """`(jpeg, size, mark, None)` of a readable picture, or three Nones and the reason.

    `jpeg` says that TensorFlow reads the file by itself. Of a plain JPEG only the header and the
    end are read; other pictures are decoded once. `mark` is a checksum of these, 0 of a JPEG.
    """
    try:
        with Image.open(path) as picture:
            if min(picture.size) < SMALLEST:
                return None, None, None, f"smaller than {SMALLEST} pixels: {picture.size}"
            if picture.format == "JPEG" and is_plain(picture):
                with open(path, "rb") as file:
                    file.seek(max(0, os.path.getsize(path) - 64))
                    if not ends(file.read()):
                        picture.load()
                return True, picture.size, 0, None
            size = to_rgb(picture).size
        return False, size, zlib.crc32(pathlib.Path(path).read_bytes()), None
    except UNREADABLE as error:
        return None, None, None, reason(error)


def _in_split(path, files, split):
    """The folder that holds the split, and its files.

    Sub-folders are splits where two or more of those with pictures have the name of a split, or
    all have; otherwise they are classes and the folder is one split.
    """
    levels = {file.relative_to(path).parts[0] for file in files
              if len(file.relative_to(path).parts) > 1}
    splits = sorted(level for level in levels if level.lower() in SPLITS)
    others = levels - {*splits}
    if len(splits) >= 2 or (splits and not others) or split in others:
        alike = [level for level in splits if level.lower() == split.lower()]
        if split not in levels and not alike:
            raise DataError(unknown_name(f"split of {path}", split, splits))
        path = path / (split if split in levels else alike[0])
        files = [file for file in files if path in file.parents]
    return path, files


class ImageFolder(Source):
    """Every picture below a folder, sorted by path; hidden files are passed over.

    Labels exist where all pictures lie in two or more first-level folders. Where the first level
    are splits ("train", "test", ...), the one asked for is taken, and its folders are the classes.

    Args:
        path: the folder.
        split: which split, where there are several.
        threshold: the part of the pictures that may be left out.
        links: False passes over links that lead out of the folder.

    Raises:
        DataError: no such folder or split, no pictures, or too many that cannot be read.
    """

    encoded = True

    def __init__(self, path, split="train", threshold=0.01, links=True):
        super().__init__()
        if not str(path):
            raise DataError("a folder is folder:PATH. Received: 'folder:'")
        path = pathlib.Path(path).expanduser()
        if not path.is_dir():
            raise DataError(f"there is no such folder. Received: {str(path)!r}")
        self.name, self.split = f"folder:{path}", split
        files = sorted(below(path, SUFFIXES, links))
        if not links:
            files = [p for p in files if p.resolve().is_relative_to(path.resolve())]
        if not files:
            raise DataError(f"there are no pictures ({', '.join(SUFFIXES)}) in this folder. "
                            f"Received: {str(path)!r}")
        path, files = _in_split(path, files, split)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            seen = list(pool.map(_inspect, files))
        good = []
        for file, (jpeg, size, mark, problem) in zip(files, seen, strict=True):
            if problem:
                self.skipped.append((str(file), problem))
            else:
                good.append((file, jpeg, size, mark))
        self.check_skipped(len(files), threshold)
        if not good:
            raise DataError(f"none of the {len(files)} pictures can be read. "
                            f"Received: {str(path)!r}")
        self.paths = [str(file) for file, *_ in good]
        self._jpeg = np.array([jpeg for _, jpeg, *_ in good])
        self._marks = np.array([mark for *_, mark in good], np.uint32)
        sizes = {size for _, _, size, _ in good}
        self.uniform_shape = (*sizes.pop()[::-1], 3) if len(sizes) == 1 else None
        self._path = path
        self.num_examples = len(good)
        parts = [file.relative_to(path).parts for file, *_ in good]
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
                # `map`: what a loop calls, AutoGraph would transform
                self._tensors = (tf.constant([*map(os.fsencode, self.paths)]),
                                 tf.constant(self._jpeg),
                                 tf.constant(labels, tf.int64))
        path, jpeg, label = (tf.gather(t, index) for t in self._tensors)
        if self._jpeg.all():  # nothing of Python in the graph, see `data.service`
            encoded = tf.io.read_file(path)
        else:
            encoded = tf.cond(jpeg, lambda: tf.io.read_file(path), lambda: tf.numpy_function(
                self._read, [path], tf.string, stateful=False))
        return {"image": tf.reshape(encoded, []), "label": label}

    @staticmethod
    def _read(path):
        path = os.fsdecode(path.item() if isinstance(path, np.ndarray) else path)
        try:
            return to_plain(pathlib.Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise DataError("a picture was fine when the folder was opened and cannot be read now "
                            f"({error}). Received: {path}") from None

    def arrays(self, limit=None):
        count = self.num_examples if limit is None else min(limit, self.num_examples)
        labels = None if self._labels is None else self._labels[:count]
        try:
            import tensorflow  # noqa: F401
        except ImportError:  # Pillow's JPEG decoder differs by a few grey levels
            if self.uniform_shape is None:
                raise DataError("the pictures of this data set differ in size; arrays need one "
                                f"size. Received: {self.name!r}") from None
            images = np.empty((count, *self.uniform_shape), np.uint8)
            for k in range(count):
                images[k] = decode(pathlib.Path(self.paths[k]).read_bytes())
            return images, labels
        return self._decoded(count), labels

    def identity(self, k):
        return self.below(self.paths[k])

    def below(self, path):
        """The path of a picture, also of one that was left out, below the folder."""
        return pathlib.Path(path).relative_to(self._path).as_posix()

    def _place(self, k):
        return self.paths[k]

    def labels(self):
        if self._labels is None:
            raise self.no_labels()
        return self._labels

    def fingerprint(self):
        """Over the names below the folder, the sizes, the ends of 64 of the files, and all of
        those that are no plain JPEG: their size need not tell of other pixels.
        """
        parts = [f"{os.path.relpath(p, self._path)}:{os.path.getsize(p)}\n" for p in self.paths]
        if not self._jpeg.all():
            parts.append(self._marks)
        for k in sampled(len(self.paths)):
            with open(self.paths[k], "rb") as file:
                file.seek(max(0, os.path.getsize(self.paths[k]) - 4096))
                parts.append(file.read())
        return digest(*parts)
