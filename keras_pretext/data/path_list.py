"""Pictures by a list of their paths, which may lie on any file system that TensorFlow reads."""

import collections
import os

import numpy as np

from keras_pretext.data.decode import to_plain
from keras_pretext.data.source import DataError, Source, digest, sampled


class PathList(Source):
    """The pictures that a text file names, a path a line.

    Paths are local or of any file system that TensorFlow knows (`gs://`, and others with the
    package tensorflow-io); relative ones begin at the list's folder. No picture is looked at before
    it is read: what cannot be read shows then.

    Args:
        path: of the list, UTF-8; lines without anything on them are passed over.
        split: its name, nothing more.

    Raises:
        DataError: no such file, no paths in it, or one that is named twice.
    """

    encoded = True

    def __init__(self, path, split="train"):
        super().__init__()
        self.name, self.split = f"paths:{path}", split
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                self._lines = [line.strip() for line in file if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"a list of paths is a text file that can be read ({error}). "
                            f"Received: {str(path)!r}") from None
        if not self._lines:
            raise DataError(f"there are no paths in this list. Received: {str(path)!r}")
        if len(set(self._lines)) < len(self._lines):
            (twice, _), = collections.Counter(self._lines).most_common(1)
            raise DataError(f"each picture is named once. Received: {twice!r} several times")
        folder = os.path.dirname(os.path.abspath(os.path.expanduser(path)))
        self.paths = [line if "://" in line else os.path.join(folder, line)
                      for line in self._lines]
        self.num_examples = len(self.paths)

    def identity(self, k):
        return self._lines[k]

    def fetch(self, index):
        import tensorflow as tf

        if not hasattr(self, "_tensor"):
            with tf.init_scope():
                self._tensor = tf.constant(self.paths)
        encoded = tf.numpy_function(self._read, [tf.gather(self._tensor, index)], tf.string,
                                    stateful=False)
        return {"image": tf.reshape(encoded, []), "label": tf.constant(-1, tf.int64)}

    @staticmethod
    def _read(path):
        import tensorflow as tf

        path = os.fsdecode(path.item() if isinstance(path, np.ndarray) else path)
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                return to_plain(file.read())
        except (tf.errors.OpError, OSError, ValueError) as error:
            why = str(getattr(error, "message", error)).removesuffix(f": {path}")
            raise DataError(f"a picture cannot be read ({why}). Received: {path}") from None

    def arrays(self, limit=None):
        raise DataError("a list of paths is read by TensorFlow; for arrays, on JAX, write an .npz. "
                        f"Received: {self.name!r}")

    def labels(self):
        raise self.no_labels()

    def fingerprint(self):
        """Over the lines of the list, and the sizes of 64 of the files."""
        import tensorflow as tf

        sizes = []
        for k in sampled(len(self.paths)):
            try:
                sizes.append(f"{tf.io.gfile.stat(self.paths[k]).length}\n")
            except (tf.errors.OpError, OSError):  # what cannot be read shows when it is read
                sizes.append("unknown\n")
        return digest(*(f"{line}\n" for line in self._lines), *sizes)

    def _place(self, k):
        return self.paths[k]
