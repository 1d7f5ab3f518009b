"""Random access to TFRecord shards through an index of where each record lies."""

import io
import mmap
import os
import struct

import numpy as np
from PIL import Image

from keras_pretext.data.decode import plain_and_size, to_plain
from keras_pretext.data.source import DataError, Source, digest

MEMORY = 512 << 20  # encoded bytes up to this many are kept in memory


def scan(path):
    """Offsets and lengths, int64 arrays, of the records of a shard.

    Raises:
        DataError: naming the file and byte offset where the file ends too early.
    """
    offsets, lengths, size = [], [], os.path.getsize(path)
    if size:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            place = 0
            while place < size:
                length = struct.unpack_from("<Q", view, place)[0] if place + 12 <= size else size
                if place + 16 + length > size:
                    raise DataError(f"this TFRecord is truncated or not a TFRecord (compressed "
                                    f"ones are not read): the record at byte {place} does not end "
                                    f"in the file's {size} bytes. Copy it again. Received: {path}")
                offsets.append(place + 12)
                lengths.append(length)
                place += 16 + length
    return np.array(offsets, np.int64), np.array(lengths, np.int64)


class RecordSource(Source):
    """`tf.train.Example` records with an encoded picture and, where there is one, a label.

    Args:
        paths: the shards, in order.
        image_key, label_key: names of the features; by default `image` or `image/encoded`, and
            `label` or `image/class/label`, whichever the first record has.
        uniform_shape: where it is known that all pictures agree; found where they are in memory.
        threshold: the part of the records that may be left out.
        multi_labels: `(class names, feature of all classes in a picture)` and, where there is one,
            the feature that says of each whether it is marked difficult.
        objects: `(class names, {"boxes", "labels" and perhaps "difficult", "crowd", "area":
            feature})`.
        dense: `{"mask": feature}` of an encoded picture, `{"depth": (feature, shape)}` of numbers;
            by default the mask is `segmentation_mask`, if the first record has one.
        lengths: how many records each shard is known to hold.

    Records up to `MEMORY` bytes are checked and kept as they are encoded; larger sets are read
    where they lie, and a picture that cannot be read stops the run with its place.

    Raises:
        DataError: a truncated file, another number of records than is known, no records, no
            picture in them, too many that are corrupt.
    """

    encoded = True

    def __init__(self, paths, name, split="train", image_key=None, label_key=None,
                 class_names=None, uniform_shape=None, threshold=0.01, multi_labels=None,
                 objects=None, dense=None, lengths=None):
        super().__init__()
        self.object_names, self._object_keys = objects or (None, {})
        self._dense = dense
        self.multi_label_names, *self._multi_keys = multi_labels or (None,)
        self.name, self.split, self.paths = name, split, [str(p) for p in paths]
        parts = [scan(path) for path in self.paths]
        for path, (found, _), length in zip(self.paths, parts, lengths or (), strict=bool(lengths)):
            if len(found) != length:
                raise DataError(f"this TFRecord holds {len(found)} records and the data set's "
                                f"dataset_info.json says {length}. Copy or prepare it again. "
                                f"Received: {path}")
        self._shard = np.repeat(np.arange(len(parts)), [len(o) for o, _ in parts])
        self._offset = np.concatenate([o for o, _ in parts])
        self._length = np.concatenate([n for _, n in parts])
        if not len(self._offset):
            raise DataError(f"there are no records. Received: {name!r}")
        self._find_keys(image_key, label_key)
        self.uniform_shape = uniform_shape
        self._images = self._labels = None
        if self._length.sum() <= MEMORY:
            self._hold(threshold)
        self.num_examples = len(self._offset)
        if self._label_key and class_names is None:
            class_names = [str(k) for k in range(int(self.labels().max()) + 1)]
        self.class_names = tuple(class_names) if self._label_key else None

    def _read(self, k):
        with open(self.paths[self._shard[k]], "rb") as file:
            return os.pread(file.fileno(), int(self._length[k]), int(self._offset[k]))

    def _place(self, k):
        return f"{self.paths[self._shard[k]]} at byte {self._offset[k] - 12}"

    def _plain(self, encoded, k):
        try:
            return to_plain(encoded.item() if isinstance(encoded, np.ndarray) else encoded)
        except ValueError as error:
            raise DataError(f"a record is corrupt: {error}. Received: {self._place(k)}") from None

    def _find_keys(self, image_key, label_key):
        import tensorflow as tf

        features = {}
        for k in range(min(100, len(self._offset))):  # the first may be corrupt
            try:
                features = tf.train.Example.FromString(self._read(k)).features.feature
            except Exception:  # protobuf's DecodeError, wherever this version keeps it
                continue
            if features:
                break
        for key in [image_key] if image_key else ["image", "image/encoded"]:
            if key in features and features[key].bytes_list.value:
                self._image_key = key
                break
        else:
            raise DataError("records hold an encoded picture as `image` or `image/encoded`. "
                            f"Received: {sorted(features)} in {self.paths[0]}")
        if self._dense is None:
            has = "segmentation_mask" in features
            self._dense = {"mask": "segmentation_mask"} if has else {}
        self.dense = tuple(self._dense)
        keys = [label_key] if label_key else ["label", "image/class/label"]
        self._label_key = next((k for k in keys if k in features
                                and len(features[k].int64_list.value) == 1), None)

    def _parse(self, serialized):
        """Serialized examples, a vector, to image bytes and labels (-1 without)."""
        import tensorflow as tf

        features = {self._image_key: tf.io.FixedLenFeature([], tf.string)}
        if self._label_key:
            features[self._label_key] = tf.io.FixedLenFeature([], tf.int64)
        parsed = tf.io.parse_example(serialized, features)
        images = parsed[self._image_key]
        labels = (parsed[self._label_key] if self._label_key
                  else tf.fill(tf.shape(images), tf.constant(-1, tf.int64)))
        return images, labels

    def _parse_some(self, serialized):
        """As `_parse`, in NumPy; None in place of a picture whose record cannot be parsed."""
        import tensorflow as tf

        try:
            return [t.numpy() for t in self._parse(tf.constant(serialized))]
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError):  # the latter quotes it
            if len(serialized) == 1:
                return [np.array([None], object), np.array([-1])]
            middle = len(serialized) // 2
            halves = [self._parse_some(s) for s in (serialized[:middle], serialized[middle:])]
            return [np.concatenate(pair) for pair in zip(*halves, strict=True)]

    def _hold(self, threshold):
        """Keeps the encoded pictures; odd ones become plain, corrupt ones are left out."""
        images, labels, good, sizes = [], [], [], set()
        for path, shard in zip(self.paths, range(len(self.paths)), strict=True):
            places = np.flatnonzero(self._shard == shard)
            if not len(places):
                continue
            with open(path, "rb") as file:
                whole = file.read()
            parsed, marks = self._parse_some(
                [whole[o:o + n] for o, n in zip(self._offset[places], self._length[places],
                                                strict=True)])
            for k, encoded, label in zip(places, parsed, marks, strict=True):
                try:
                    if encoded is None:
                        raise ValueError("the record cannot be parsed")
                    plain, size = plain_and_size(encoded)
                except ValueError as error:
                    self.skipped.append((self._place(k), str(error)))
                    continue
                images.append(plain)
                labels.append(label)
                sizes.add(size)
                good.append(k)
        self.check_skipped(len(self._offset), threshold)
        if not good:
            raise DataError(f"none of the records holds a picture. Received: {self.name!r}")
        self.uniform_shape = (*sizes.pop(), 3) if len(sizes) == 1 else None
        self._shard, self._offset, self._length = (
            a[good] for a in (self._shard, self._offset, self._length))
        self._images, self._labels = np.array(images, object), np.array(labels, np.int64)

    def fetch(self, index):
        import tensorflow as tf

        if self._images is not None:
            if not hasattr(self, "_tensor"):
                with tf.init_scope():
                    self._tensor = tf.constant(self._images)
                    self._label_tensor = tf.constant(self._labels)
            return {"image": tf.gather(self._tensor, index),
                    "label": tf.gather(self._label_tensor, index)}
        serialized = tf.numpy_function(self._read, [index], tf.string, stateful=False)
        images, labels = self._parse(tf.reshape(serialized, [1]))
        plain = tf.numpy_function(self._plain, [images[0], index], tf.string, stateful=False)
        return {"image": tf.reshape(plain, []), "label": labels[0]}

    def labels(self):
        import tensorflow as tf

        if not self._label_key:
            raise self.no_labels()
        if self._labels is None:
            records = tf.data.TFRecordDataset(self.paths).batch(1024)
            self._labels = np.concatenate([self._parse(batch)[1].numpy() for batch in records])
        return self._labels

    def multi_labels(self):
        if self.multi_label_names is None:
            return super().multi_labels()
        names = self.multi_label_names
        out = np.zeros((self.num_examples, len(names)), np.int8)
        for k in range(self.num_examples):
            features = self._features(k)
            label, *difficult = (np.array(features[key].int64_list.value, int)
                                 for key in self._multi_keys)
            if ((label < 0) | (label >= len(names))).any():
                raise DataError(f"labels are in 0..{len(names) - 1}. Received: {label.tolist()} "
                                f"in {self._place(k)}")
            hard = difficult[0] > 0 if difficult else np.zeros(len(label), bool)
            out[k, label[hard]] = -1
            out[k, label[~hard]] = 1  # one that is clear is enough
        return out

    def _features(self, k):
        import tensorflow as tf

        return tf.train.Example.FromString(self._read(k)).features.feature

    def objects(self):
        if self.object_names is None:
            return super().objects()
        return [self._objects(k) for k in range(self.num_examples)]

    def _objects(self, k):
        features = self._features(k)
        height, width = size = self.size(k)
        keys = self._object_keys
        boxes = np.array(features[keys["boxes"]].float_list.value, np.float32).reshape(-1, 4)
        labels = np.array(features[keys["labels"]].int64_list.value, np.int64)
        marks = {mark: np.array(features[keys[mark]].int64_list.value, bool) if mark in keys
                 else np.zeros(len(labels), bool) for mark in ("difficult", "crowd")}
        inside = (boxes >= -1e-3).all() and (boxes <= 1 + 1e-3).all()
        if not inside or (boxes[:, 2:] < boxes[:, :2]).any():
            raise DataError("boxes lie in their picture, top, left, bottom, right as fractions of "
                            f"its sides. Received: {boxes.tolist()} in {self._place(k)}")
        if ((labels < 0) | (labels >= len(self.object_names))).any():
            raise DataError(f"labels are in 0..{len(self.object_names) - 1}. "
                            f"Received: {labels.tolist()} in {self._place(k)}")
        found = {"boxes": boxes * np.float32([height, width, height, width]), "labels": labels,
                 **marks, "size": size}
        if "area" in keys:
            values = features[keys["area"]]
            found["area"] = np.array(values.float_list.value or values.int64_list.value, np.float32)
        return found

    def pixels(self, kind, k):
        if kind not in self._dense:
            return super().pixels(kind, k)
        if kind == "mask":
            encoded = self._features(k)[self._dense[kind]].bytes_list.value[0]
            with Image.open(io.BytesIO(encoded)) as picture:
                return np.asarray(picture)
        key, shape = self._dense[kind]
        return np.array(self._features(k)[key].float_list.value, np.float32).reshape(shape)

    def arrays(self, limit=None):
        count = self.num_examples if limit is None else min(limit, self.num_examples)
        return self._decoded(count), self.labels()[:count] if self._label_key else None

    def fingerprint(self):
        parts = []
        for path in self.paths:
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                for place in np.linspace(0, max(0, size - 4096), 16).astype(int):
                    file.seek(place)
                    parts.append(file.read(4096))
            parts.append(f"{os.path.basename(path)}:{size}")
        return digest(*parts)
