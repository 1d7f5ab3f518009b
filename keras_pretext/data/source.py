"""What every source of pictures is, and `open`, which finds the right one."""

import csv
import glob
import hashlib
import os
import pathlib

import numpy as np

from keras_pretext.registry import unknown_name

KINDS = ("tfds", "folder", "tfrecord", "npz", "scenes")


class DataError(ValueError):
    """The data cannot be used as it is; the message says what would help."""


class Source:
    """Random access to pictures, with or without labels.

    Attributes:
        name, split: what was opened.
        num_examples: how many pictures.
        class_names: tuple of names, or None without labels.
        encoded: True where `fetch` gives encoded bytes (plain JPEG or PNG), False for arrays.
        uniform_shape: (height, width, 3) where all pictures agree, else None.
        skipped: list of (path, reason) of pictures left out.
    """

    name, split = "", ""
    num_examples = 0
    class_names = None
    encoded = False
    uniform_shape = None

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

    def labels(self):
        """int64 `(n,)`. Raises DataError where there are none."""
        raise NotImplementedError

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
            raise DataError(f"{len(self.skipped)} of {total} pictures cannot be used, more than "
                            f"{threshold:.0%}. Remove or mend them:\n{shown}\n"
                            f"Received: {self.name!r}")


def open_text(path):
    return pathlib.Path(path).open("w", newline="")


def digest(*parts):
    """SHA-256, as hex, of strings, bytes and arrays."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part).data
        elif isinstance(part, str):
            part = part.encode()
        sha.update(part)
    return sha.hexdigest()


def data_root():
    """The folder of prepared data: $KERAS_PRETEXT_DATA, or ../shared/data."""
    return pathlib.Path(os.environ.get("KERAS_PRETEXT_DATA", "../shared/data"))


def open(spec, split="train", root=None):  # noqa: A001
    """The source that `spec` names.

    Args:
        spec: a TFDS name ("cifar10_jpeg", "tfds:voc/2007") that is prepared under
            `$KERAS_PRETEXT_DATA/tfds` or in TFDS' own data folder; a path to a prepared TFDS
            version folder; "folder:PATH" (pictures at any depth, the first level are the
            classes); "tfrecord:GLOB"; "npz:FILE" (`images`, `labels`); "scenes" (embedded, drawn
            on the spot). A path that exists is recognised by what it is.
        split: "train", "test", "validation" or whatever the data set has. Folders and TFRecords
            have one split; a sub-folder named like the split is taken where there is one.
        root: in place of `$KERAS_PRETEXT_DATA`.

    Raises:
        DataError (a ValueError): for what cannot be found or used.
    """
    if isinstance(spec, Source):
        return spec
    spec = str(spec)
    kind, _, rest = spec.partition(":")
    if kind not in KINDS or (kind == "scenes" and rest and not rest.isdigit()):
        kind, rest = _recognised(spec), spec
    if kind == "scenes":
        from keras_pretext.data.arrays import scenes_source

        return scenes_source(split, int(rest) if rest.isdigit() else 32)
    if kind == "npz":
        from keras_pretext.data.arrays import ArraySource

        return ArraySource.from_npz(rest, split)
    if kind == "tfrecord":
        from keras_pretext.data.records import RecordSource

        paths = sorted(glob.glob(rest)) if not os.path.isdir(rest) else sorted(
            glob.glob(os.path.join(rest, "*.tfrecord*")))
        if not paths:
            raise DataError(f"no TFRecord file matches. Received: {rest!r}")
        return RecordSource(paths, name=spec, split=split)
    if kind == "folder":
        from keras_pretext.data.image_folder import ImageFolder

        return ImageFolder(rest, split)
    from keras_pretext.data.tfds_source import open_tfds

    return open_tfds(rest, split, pathlib.Path(root) if root else data_root())


def _recognised(spec):
    path = pathlib.Path(spec)
    if spec == "scenes":
        return "scenes"
    if path.is_dir():
        return "tfds" if (path / "dataset_info.json").exists() else "folder"
    if path.is_file():
        if path.suffix == ".npz":
            return "npz"
        if ".tfrecord" in path.name:
            return "tfrecord"
        raise DataError("a file is an .npz or a .tfrecord. " + f"Received: {spec!r}")
    if glob.has_magic(spec) and glob.glob(spec):
        return "tfrecord"
    if spec.startswith((".", "/", "~")) or path.suffix in (".npz", ".tfrecord"):
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise DataError(unknown_name("data path", spec, near))
    return "tfds"
