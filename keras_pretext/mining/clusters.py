"""Parents: clusters of the tracks' features, by spherical k-means (faiss)."""

import numpy as np

ITERATIONS = 20


def number_of_clusters(recipe, tracks):
    """k of k-means for so many tracks.

    Raises:
        ValueError: more clusters than tracks.
    """
    k = recipe.clusters
    if recipe.nodes_per_cluster is not None:
        k = max(1, min(k, tracks // recipe.nodes_per_cluster))
    if k > tracks:
        raise ValueError(f"{k} clusters need at least as many tracks: mine more video, or lower "
                         f"clusters (or set nodes_per_cluster). Received: {tracks} tracks")
    return k


def centroids(sample, k, seed):
    """Means of unit length, by the cosine distance.

    Args:
        sample: float32 `(n, d)`, rows of unit length, n >= k.
        k: how many.
        seed: of the first means.

    Returns:
        float32 `(k, d)`.
    """
    import faiss

    found = faiss.Kmeans(sample.shape[1], k, niter=ITERATIONS, seed=seed, spherical=True,
                         min_points_per_centroid=1, max_points_per_centroid=len(sample))
    found.train(sample)
    return found.centroids


def assigned(features, means):
    """The nearest mean of each row, int32 `(n,)`."""
    import faiss

    if not len(features):
        return np.zeros(0, np.int32)
    index = faiss.IndexFlatIP(means.shape[1])
    index.add(means)
    return index.search(features, 1)[1][:, 0].astype(np.int32)
