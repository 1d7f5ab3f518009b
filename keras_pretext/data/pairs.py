"""Pairs of patches that were mined from video: the tables of docs/mining.md."""

import pathlib

import numpy as np

from keras_pretext.data.records import RecordSource
from keras_pretext.data.source import DataError, Source, digest
from keras_pretext.registry import unknown_name

KINDS = ("intra", "inter", "transitive")
INTRA_SHARE = 2 / 7  # intra pairs for each transitive one in the split "train"


class PairSource(Source):
    """Two patches as one picture of six channels: uint8 `(side, side, 6)`.

    `labels()` are int64 `(n, 4)`: the pair's parent cluster, the videos of its two patches, and
    whether it is an intra pair (1) or not.

    Args:
        folder: what `keras-pretext mine` has written.
        split: kinds of pairs joined by "+" ("intra", "inter", "transitive"), or "train":
            transitive and intra pairs, of these at most two for every seven (Wang, He and Gupta,
            ICCV 2017, section 5: 7 and 2 million), evenly taken.

    Raises:
        ImportError: without pyarrow.
        DataError: for a folder without those tables, tables that do not fit the patches, an
            unknown kind, or no pair of those kinds.
    """

    channels = 6

    def __init__(self, folder, split="train"):
        super().__init__()
        folder = pathlib.Path(folder).expanduser()
        self.name, self.split = f"pairs:{folder}", split
        kinds = ("transitive", "intra") if split == "train" else tuple(str(split).split("+"))
        for kind in kinds:
            if kind not in KINDS:
                raise DataError(unknown_name("kind of pairs", kind, (*KINDS, "train")))
        nodes = _columns(folder / "nodes.parquet", ["video"])
        pairs = _columns(folder / "pairs.parquet", ["a", "b", "kind", "parent"])
        shards = sorted((folder / "patches").glob("*.tfrecord"))
        if not shards:
            raise DataError(f"there are no patches/*.tfrecord. Received: {str(folder)!r}")
        self._patches = RecordSource(shards, name=str(folder / "patches"), threshold=0.0)
        count = self._patches.num_examples
        if count != len(nodes["video"]):
            raise DataError(f"nodes.parquet has a row for each of the {count} patches. "
                            f"Received: {len(nodes['video'])} rows in {str(folder)!r}")
        ends = np.stack([pairs["a"], pairs["b"]], 1).astype("int64")
        if len(ends) and not (0 <= ends.min() and ends.max() < count):
            raise DataError(f"pairs are of the nodes 0 to {count - 1}. "
                            f"Received: {ends.min()} to {ends.max()} in {str(folder)!r}")
        kind = pairs["kind"].astype(str)
        rows = np.flatnonzero(np.isin(kind, kinds))
        if split == "train":
            intra = rows[kind[rows] == "intra"]
            others = rows[kind[rows] != "intra"]
            keep = min(len(intra), int(np.ceil(len(others) * INTRA_SHARE)))
            evenly = np.arange(keep) * len(intra) // max(keep, 1)
            rows = np.sort(np.concatenate([others, intra[evenly]]))
        if not len(rows):
            has = {k: int((kind == k).sum()) for k in KINDS}
            raise DataError("there are no such pairs; the folder's have their number behind their "
                            f"kind: {has}. Received: split={split!r}")
        self._ends = ends[rows]
        self._labels = np.stack([pairs["parent"][rows], nodes["video"][ends[rows, 0]],
                                 nodes["video"][ends[rows, 1]], kind[rows] == "intra"],
                                1).astype("int64")
        self.num_examples = len(rows)
        shape = self._patches.uniform_shape
        self.uniform_shape = None if shape is None else (*shape[:2], 6)

    def fetch(self, index):
        import tensorflow as tf

        if not hasattr(self, "_tensor"):
            with tf.init_scope():
                self._tensor = tf.constant(self._ends)
        ends = tf.gather(self._tensor, index)
        both = [tf.io.decode_image(self._patches.fetch(ends[k])["image"], channels=3,
                                   expand_animations=False) for k in (0, 1)]
        image = tf.ensure_shape(tf.concat(both, -1), self.uniform_shape or (None, None, 6))
        return {"image": image, "label": tf.constant(-1, tf.int64)}

    def arrays(self, limit=None):
        images = self._patches.arrays()[0]
        first, second = self._ends[:limit].T
        return np.concatenate([images[first], images[second]], -1), self._labels[:limit]

    def labels(self):
        return self._labels

    def fingerprint(self):
        return digest(self._patches.fingerprint(), self._ends, self._labels)


def _columns(path, names):
    """Columns of a Parquet file as NumPy arrays. Raises DataError."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("pairs are read with pyarrow: pip install 'keras_pretext[pairs]'. "
                          f"Received: {error}") from None
    if not path.is_file():
        raise DataError("mined pairs are a folder with nodes.parquet, pairs.parquet and patches/. "
                        f"Received: {str(path.parent)!r}, without {path.name}")
    try:
        table = pyarrow.parquet.read_table(path, columns=names)
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise DataError(f"this table cannot be read ({error}). Received: {path}") from None
    if table.column_names != names:
        raise DataError(f"this table has the columns {', '.join(names)}. "
                        f"Received: {table.column_names} in {path}")
    return {name: np.asarray(table[name].combine_chunks().to_pylist() if name == "kind"
                             else table[name].to_numpy()) for name in names}
