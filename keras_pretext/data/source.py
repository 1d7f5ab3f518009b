"""What every source of pictures is."""

import contextlib
import csv
import hashlib
import os
import pathlib
import re

import numpy as np

SPLITS = {"train", "training", "validation", "valid", "val", "eval", "dev", "holdout", "test",
          "testing", "unlabeled", "unlabelled"}


class DataError(ValueError):
    """The data cannot be used as it is; the message says what would help."""


class Source:
    """Random access to pictures, with or without labels.

    Attributes:
        name, split: what was opened.
        num_examples: how many pictures.
        class_names: tuple of names, or None without labels.
        multi_label_names: tuple of names where a picture may show several classes, else None.
        object_names: tuple of names where pictures have boxes, else None.
        dense: what is known of every pixel: none, or some of "mask", "depth" and "normals".
        encoded: True where `fetch` gives encoded bytes (plain JPEG or PNG), False for arrays.
        uniform_shape: (height, width, channels) where all pictures agree, else None.
        channels: 3, of RGB; others are in `data.masks.seen_by`.
        skipped: list of (path, reason) of pictures left out.
    """

    name, split = "", ""
    num_examples = 0
    class_names = None
    multi_label_names = None
    object_names = None
    dense = ()
    encoded = False
    uniform_shape = None
    channels = 3

    def __init__(self):
        self.skipped = []

    @property
    def has_labels(self):
        return self.class_names is not None

    def fetch(self, index):
        """In a TensorFlow graph: `{"image": bytes or uint8 HWC, "label": int64}` of an example."""
        raise NotImplementedError

    def arrays(self, limit=None):
        """uint8 `(n, H, W, 3)` and int64 `(n,)` labels or None; for pictures of one size."""
        raise NotImplementedError

    def pictures(self, index, batch=256):
        """Yields pictures, decoded, in the order asked for: `(index, uint8 (n, H, W, 3))`.

        Args:
            index: integers `(count,)`.
            batch: the largest n; pictures that differ in size, or are too many for memory, come
                one at a time.
        """
        index = np.asarray(index, "int64")
        shape = self.uniform_shape
        if shape is not None and self.num_examples * int(np.prod(shape)) <= 1 << 30:
            images = self.arrays()[0]
            for start in range(0, len(index), batch):
                part = index[start:start + batch]
                yield part, images[part]
            return
        from keras_pretext.data.decode import decode

        for k in index:
            image = self.fetch(int(k))["image"].numpy()
            yield np.array([k]), (decode(image) if self.encoded else image)[None]

    def identity(self, k):
        """What an example is called in tables: its path below the folder, or its number."""
        return str(k)

    def below(self, path):
        """What a picture that was left out (`skipped`) is called in tables."""
        return str(path)

    def _place(self, k):
        """Where an example lies, for messages."""
        return f"{self.name} {k}"

    def _decoded(self, count):
        """The first pictures, uint8 `(count, H, W, 3)`, as TensorFlow decodes what `fetch` gives.
        """
        import tensorflow as tf

        if self.uniform_shape is None:
            raise DataError("the pictures of this data set differ in size; arrays need one size. "
                            f"Received: {self.name!r}")

        def picture(k):
            image = tf.io.decode_image(self.fetch(k)["image"], channels=3, expand_animations=False)
            return tf.ensure_shape(image, self.uniform_shape)

        options = tf.data.Options()
        options.autotune.enabled = False  # with it, freeing an iterator stalls (TensorFlow 2.21)
        stream = tf.data.Dataset.range(count).map(picture, num_parallel_calls=os.cpu_count())
        out, done = np.empty((count, *self.uniform_shape), np.uint8), 0
        try:
            for batch in stream.batch(1000).with_options(options):
                out[done:done + len(batch)] = batch
                done += len(batch)
        except tf.errors.InvalidArgumentError:
            for k in range(done, min(done + 1000, count)):  # which one was it?
                try:
                    picture(k)
                except (tf.errors.InvalidArgumentError, ValueError) as error:
                    why = str(error).splitlines()[0]
                    raise DataError(f"a picture cannot be decoded to {self.uniform_shape} ({why})."
                                    f" Received: {self._place(k)}") from None
            raise
        return out

    def check_decodable(self, k):
        """Raises DataError where TensorFlow cannot decode a picture."""
        import tensorflow as tf

        try:
            image = self.fetch(k)["image"]
            if self.encoded:
                tf.io.decode_image(image, channels=3, expand_animations=False)
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            why = re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", str(error).splitlines()[0])
            raise DataError(f"a picture cannot be decoded ({why}); put a whole one in its place, "
                            f"and the same command goes on. Received: {self._place(k)}") from None

    def labels(self):
        """int64 `(n,)`. Raises DataError where there are none."""
        raise NotImplementedError

    def multi_labels(self):
        """int8 `(n, classes)`: 1 present, 0 absent, -1 present but marked difficult throughout.

        Raises DataError where pictures do not have any number of classes each.
        """
        raise DataError("this data set does not say which classes each picture shows, which this "
                        f"step needs. Received: {self.name!r}")

    def objects(self):
        """The boxes of every picture, a list of dicts, one a picture.

        `boxes` float32 `(k, 4)`: top, left, bottom, right in pixels; `labels` int64 `(k,)`;
        `difficult` and `crowd` bool `(k,)`; `size` (height, width) of the picture; where the data
        say it, `area` float32 `(k,)`: of the object itself, not of its box, in pixels.
        Raises DataError where there are none.
        """
        raise DataError("this data set has no boxes, which this step needs. "
                        f"Received: {self.name!r}")

    def pixels(self, kind, k):
        """What is known of every pixel of a picture.

        Args:
            kind: "mask": integers `(H, W)`, the class of each pixel; "depth": float32 `(H, W)`,
                in metres; "normals": float32 `(H, W, 3)`, zero where unknown.

        Raises:
            DataError: where this is not known.
        """
        raise DataError(f"this data set has no {kind} of its pictures, which this step needs. "
                        f"Received: {self.name!r}, which has {', '.join(self.dense) or 'none'}")

    def size(self, k):
        """`(height, width)` of a picture."""
        if self.uniform_shape is not None:
            return tuple(self.uniform_shape[:2])
        from keras_pretext.data.decode import plain_and_size

        return plain_and_size(self.fetch(k)["image"].numpy())[1]

    def fingerprint(self):
        """SHA-256 over what the data is, cheap to compute."""
        raise NotImplementedError

    def no_labels(self):
        return DataError("this data set has no labels, which this step needs. "
                         f"Received: {self.name!r}")

    def write_skipped(self, path):
        """Writes the pictures that were left out, a row each: path, reason."""
        with open_text(path) as file:
            writer = csv.writer(file)
            writer.writerow(["path", "reason"])
            writer.writerows(self.skipped)

    def check_skipped(self, total, threshold=0.01):
        """Raises DataError where more than the threshold of the pictures was left out."""
        if len(self.skipped) > threshold * total:
            shown = "\n".join(f"  {path}: {reason}" for path, reason in self.skipped[:20])
            if len(self.skipped) > 20:
                shown += f"\n  and {len(self.skipped) - 20} more"
            raise DataError(f"{len(self.skipped)} of {total} pictures cannot be used, more than "
                            f"{threshold:.0%}. Remove or mend them:\n{shown}\n"
                            f"Received: {self.name!r}")


def check_held_out(train, test):
    """Raises DataError where two splits of different names share pictures.

    A folder, an `.npz` or TFRecords without splits give all that they hold under every name; and
    "train+validation" holds "validation".
    """
    shared = set(train.split.split("+")) & set(test.split.split("+"))
    if train.name == test.name and train.split != test.split and shared:
        raise DataError(f"the splits {train.split!r} and {test.split!r} share pictures, those of "
                        f"{', '.join(sorted(shared))}, so not all is held out. Received: "
                        f"{train.name!r}")
    if (train.split != test.split and train.num_examples == test.num_examples
            and train.fingerprint() == test.fingerprint()):
        raise DataError(f"the splits {train.split!r} and {test.split!r} are the same pictures, so "
                        "nothing is held out: make sub-folders (or arrays, or TFRecords) train "
                        "and test; where nothing is to be held out, train with --set "
                        f"test_split=null or name one split twice. Received: {train.name!r}")


@contextlib.contextmanager
def open_text(path):
    """A text file to write, which takes its place only when it is whole."""
    beside = pathlib.Path(f"{path}.part")
    with beside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        yield file
    os.replace(beside, path)


def sampled(count):
    """Up to 64 of `count` places, evenly taken, of which a fingerprint reads more than a name."""
    return np.unique(np.linspace(0, count - 1, 64).astype(int))


def digest(*parts):
    """SHA-256, as hex, of strings, bytes and arrays."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part).data
        elif isinstance(part, str):
            part = part.encode(errors="surrogateescape")
        sha.update(part)
    return sha.hexdigest()
