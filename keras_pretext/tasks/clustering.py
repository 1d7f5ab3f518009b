"""k-means of features that stay on the disk (Caron et al., ECCV 2018, sections 3.2 and 3.3)."""

import importlib.util

import numpy as np
from keras import ops

MEMORY = 64 << 20  # bytes of a block of rows
ITERATIONS = 20
ENGINES = ("faiss", "keras")


def engine(name=None):
    """What k-means runs on: "faiss" where it is installed, else "keras"; or the one asked for.

    Raises:
        ImportError: where faiss is asked for and is not installed.
    """
    installed = importlib.util.find_spec("faiss") is not None
    if name == "faiss" and not installed:
        raise ImportError("faiss is not installed: pip install keras_pretext[deep_cluster], or "
                          "use kmeans=None, which does without. Received: kmeans='faiss'")
    return name or ("faiss" if installed else "keras")


def blocks(count, width):
    """Slices of rows of which `width` float32 numbers each take at most `MEMORY` bytes."""
    rows = max(1, MEMORY // (4 * width))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def whitening(features, dim):
    """Principal components, each scaled to variance one.

    Components whose variance is less than a millionth of the first one's are left at zero: they
    are rounding errors.

    Args:
        features: `(n, width)`, any float; read in blocks. Besides a block, some four
            `(width, width)` float64 arrays are held.
        dim: how many components, at most.

    Returns:
        `mean` float32 `(width,)` and `matrix` float32 `(width, min(dim, width, n))`: points are
        `(features - mean) @ matrix`.

    Raises:
        ValueError: where all features are the same.
    """
    count, width = features.shape
    parts = blocks(count, width)
    mean = sum(features[part].sum(0, dtype="float64") for part in parts) / count
    if count < width:
        centred = features[:].astype("float64") - mean
        singular, axes = np.linalg.svd(centred, full_matrices=False)[1:]
        variances, axes = singular**2 / count, axes.T
    else:
        covariance = np.zeros((width, width))
        for part in parts:
            centred = features[part].astype("float32") - mean.astype("float32")
            covariance += centred.T @ centred
        variances, axes = np.linalg.eigh(covariance / count)
        variances, axes = variances[::-1], axes[:, ::-1]
    if variances.sum() <= 1e-10 * (mean @ mean):
        raise ValueError("the network answers the same for every picture, so there is nothing to "
                         "cluster. It has collapsed: a lower learning rate is the usual remedy; "
                         "or all pictures are alike. "
                         f"Received: {count} equal rows of {width} features")
    variances, axes = variances[:dim], axes[:, :dim]
    scale = np.where(variances > 1e-6 * variances[0],
                     1 / np.sqrt(np.maximum(variances, np.finfo("float64").tiny)), 0.0)
    return mean.astype("float32"), (axes * scale).astype("float32")


def whitened(features, dim, path):
    """Features reduced by `whitening`, every row of norm one (or zero), in an `.npy` file.

    Returns:
        float32 memory map `(n, min(dim, width, n))`.
    """
    mean, matrix = whitening(features, dim)
    count, width = features.shape
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {
            "descr": "<f4", "fortran_order": False, "shape": (count, matrix.shape[1])})
        for part in blocks(count, width):
            points = (features[part].astype("float32") - mean) @ matrix
            norms = np.linalg.norm(points, axis=1, keepdims=True)
            file.write((points / np.maximum(norms, 1e-12)).tobytes())
    return np.load(path, mmap_mode="r")


def kmeans(points, clusters, rng, name=None):
    """Lloyd's algorithm, 20 iterations from random points; empty clusters take half of another.

    A cluster that lost all its points gets a slightly moved copy of the centroid of another, in
    which it is likelier to be the larger that one is (as in faiss, and in the paper).

    Args:
        points: float32 `(n, dim)`, read in blocks.
        clusters: how many, at most n.
        rng: NumPy Generator.
        name: of the `engine`. faiss takes whatever GPUs it sees, and maps the points to memory;
            with "keras" the blocks go through the backend.

    Returns:
        int32 `(n,)`: the cluster of each point.
    """
    if not 1 <= clusters <= len(points):
        raise ValueError(f"there are at most as many clusters as points, {len(points)}. "
                         f"Received: clusters={clusters}")
    run = {"faiss": _faiss, "keras": _lloyd}[engine(name)]
    return run(points, clusters, rng)


def _faiss(points, clusters, rng):
    import faiss

    algorithm = faiss.Clustering(points.shape[1], clusters)
    algorithm.niter, algorithm.seed = ITERATIONS, int(rng.integers(1 << 31))
    algorithm.min_points_per_centroid = 1
    algorithm.max_points_per_centroid = len(points)  # takes them all
    index = faiss.IndexFlatL2(points.shape[1])
    if getattr(faiss, "get_num_gpus", int)():
        index = faiss.index_cpu_to_all_gpus(index)
    algorithm.train(points, index)
    return np.concatenate([index.search(points[part], 1)[1][:, 0] for part in blocks(
        len(points), points.shape[1])]).astype("int32")


def _lloyd(points, clusters, rng):
    count = len(points)
    centroids = points[np.sort(rng.choice(count, clusters, replace=False))].astype("float64")
    for _ in range(ITERATIONS):
        sums, counts = np.zeros_like(centroids), np.zeros(clusters, "int64")
        for part, labels in _nearest(points, centroids):
            order = np.argsort(labels, kind="stable")
            found, first, number = np.unique(labels[order], return_index=True, return_counts=True)
            sums[found] += np.add.reduceat(points[part][order], first, axis=0)
            counts[found] += number
        full = counts > 0
        centroids[full] = sums[full] / counts[full, None]
        _split(centroids, counts, rng)
    return np.concatenate([labels for _, labels in _nearest(points, centroids)]).astype("int32")


def _nearest(points, centroids):
    """Yields blocks of the points, as slices, with the nearest centroid of each point."""
    matrix = ops.convert_to_tensor(np.ascontiguousarray(centroids.T, "float32"))
    half = ops.convert_to_tensor((0.5 * (centroids**2).sum(1)).astype("float32"))
    for part in blocks(len(points), sum(centroids.shape)):
        closeness = ops.matmul(ops.convert_to_tensor(points[part]), matrix) - half
        yield part, ops.convert_to_numpy(ops.argmax(closeness, -1))


def _split(centroids, counts, rng):
    """Gives empty clusters a moved copy of another's centroid, and half of its count."""
    step = np.where(np.arange(centroids.shape[1]) % 2, -1, 1) / 1024
    for empty in np.flatnonzero(counts == 0):
        spare = np.maximum(counts - 1, 0)
        other = rng.choice(len(counts), p=spare / spare.sum())
        centroids[empty] = centroids[other] * (1 + step)
        centroids[other] *= 1 - step
        counts[empty] = counts[other] // 2
        counts[other] -= counts[empty]


def normalized_mutual_information(a, b):
    """2 I(a; b) / (H(a) + H(b)) of two labellings, int `(n,)`: 1 where they agree, 0 by chance.

    Two labellings that are constant agree.
    """
    def entropy(labels):
        share = np.unique(labels, return_counts=True)[1] / len(labels)
        return -(share * np.log(share)).sum()

    own, other = entropy(a), entropy(b)
    if own + other == 0:
        return 1.0
    pairs = np.asarray(a, "int64") * (int(np.max(b)) + 1) + b
    return float(np.clip(2 * (own + other - entropy(pairs)) / (own + other), 0, 1))


def uniform_sample(labels, rng):
    """Examples drawn so that every cluster that is not empty is shown as often as any other.

    Each of m clusters gives `n // m + 1` of its examples, all of them in turn, and again, where it
    has fewer; they are shuffled, and the first n are shown (the paper's section 3.3; its code
    draws from small clusters with replacement).

    Args:
        labels: int `(n,)`.
        rng: NumPy Generator.

    Returns:
        int64 `(n,)`, places of examples.
    """
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    each = len(labels) // len(members) + 1
    drawn = [np.resize(rng.permutation(group), each) for group in members]
    return rng.permutation(np.concatenate(drawn))[:len(labels)].astype("int64")
