"""Which pictures of an extraction are nearest to another picture."""

import numpy as np

from keras_pretext.serving import extraction


class Index:
    """An exact search index, by cosine, over the features that `extract` has written.

    Args:
        folder: of a finished extraction.
        tap: by default the last that was extracted.

    Raises:
        ImportError: without faiss.
        ValueError: no finished extraction, an unknown tap, another model under the same name, or
            features that are zero for every picture.
    """

    def __init__(self, folder, tap=None):
        try:
            import faiss
        except ImportError:
            raise ImportError("searching needs faiss: pip install 'keras_pretext[search]'"
                              ) from None
        found = extraction.read(folder, tap)
        self.plan, self.ids, self.places = found["plan"], found["ids"], found["index"]
        self.tap = self.plan["taps"][-1] if tap is None else tap
        vectors, norm = _unit(found["vectors"])
        if not norm.any():
            raise ValueError(f"the features of tap {self.tap!r} are zero for every picture. "
                             f"Received: {str(folder)!r}")
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        self._job = None

    def search(self, vectors, count=6):
        """The nearest pictures to vectors.

        Args:
            vectors: float `(n, ...)`, as the extraction's rows are.
            count: how many; at most as many as there are pictures.

        Returns:
            (rows, cosines): int64 and float32 `(n, count)`, the nearest first; `ids` and `places`
            say what a row is.

        Raises:
            ValueError: vectors of another length, not finite or zero, or more than there are.
        """
        vectors = np.asarray(vectors)
        length = int(np.prod(vectors.shape[1:]))
        if vectors.ndim < 2 or length != self._index.d:
            raise ValueError(f"a query has {self._index.d} numbers. Received: {vectors.shape}")
        if not 1 <= count <= self._index.ntotal:
            raise ValueError(f"count is 1 to {self._index.ntotal}, as many pictures as there are. "
                             f"Received: count={count}")
        vectors, norm = _unit(vectors)
        if not np.isfinite(vectors).all() or not norm.all():
            raise ValueError("a query's features are finite and not all zero. "
                             "Received: others")
        cosines, rows = self._index.search(vectors, count)
        return rows, np.clip(cosines, -1, 1)

    def nearest(self, image, count=6):
        """The nearest pictures to a picture, uint8 `(height, width, 3)`; see `search`."""
        if self._job is None:
            keys = ("model", "data", "split", "taps", "pooling", "image_size", "dtype",
                    "shard_size")
            job = extraction.Job({**{k: self.plan[k] for k in keys}, "batch_size": 1})
            if job.plan["weights"] != self.plan["weights"]:
                raise ValueError("the model has other weights than when the features were "
                                 f"extracted: extract again. Received: {self.plan['model']!r}")
            self._job = job
        vectors = self._job.vectors(self._job.framed(image)[None])[self.tap]
        rows, cosines = self.search(vectors, count)
        return rows[0], cosines[0]


def neighbours(index, image, count=6):
    """A picture and those nearest to it, as a row for `visualize.puzzle_sheet`.

    Args:
        index: an `Index`, or the folder of an extraction.
        image: uint8 `(height, width, 3)`.
        count: how many.

    Returns:
        a list of one row of (title, uint8 `(height, width, 3)`), the query first, then the nearest
        with their ids and cosines, as the network sees them.

    Raises:
        ValueError: what `Index` raises, or data that has changed since.
    """
    from keras_pretext import data
    from keras_pretext.training.answers import picture

    index = index if isinstance(index, Index) else Index(index)
    source = data.open(index.plan["data"], index.plan["split"])
    if source.fingerprint() != index.plan["fingerprint"]:
        raise ValueError("the data has changed since the features were extracted: extract again. "
                         f"Received: {index.plan['data']!r}")
    rows, cosines = index.nearest(image, count)
    framed = index._job.framed
    return [[("query", framed(image))] + [
        (f"{index.ids[row]}: {cosine:.2f}", framed(picture(source, index.places[row])))
        for row, cosine in zip(rows, cosines, strict=True)]]


def _unit(vectors):
    """float32 `(n, numbers)` of length one (zeros stay), and their lengths."""
    vectors = np.asarray(vectors, "float32").reshape(len(vectors), -1)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norm, 1e-12), norm[:, 0]
