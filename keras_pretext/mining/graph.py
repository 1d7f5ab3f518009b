"""Edges between patches: who is whose nearest neighbour, groups of four, transitive pairs."""

import itertools

import numpy as np


def nearest(features, count):
    """The nearest others of each row, by exact cosine distance.

    Args:
        features: float32 `(n, d)` of unit length.
        count: how many; fewer where there are no more others.

    Returns:
        int64 `(n, min(count, n - 1))`, the nearest first, never the row itself.
    """
    import faiss

    rows = len(features)
    count = min(count, rows - 1)
    if count < 1:
        return np.zeros((rows, 0), np.int64)
    index = faiss.IndexFlatIP(features.shape[1])
    index.add(features)
    found = index.search(features, count + 1)[1]
    other = found != np.arange(rows)[:, None]
    # a twin may stand before the row itself, or in its place
    other[other.all(1), -1] = False
    return found[other].reshape(rows, count)


def groups(neighbours, size=4):
    """Every set of `size` nodes of which each is among the neighbours of each other.

    Wang, He and Gupta (ICCV 2017), section 3.1: child clusters; they may overlap.

    Args:
        neighbours: int `(n, k)`, nodes 0 to n - 1.
        size: of a group, at least 2.

    Returns:
        int64 `(groups, size)`, each row ascending, the rows in order.
    """
    count, width = neighbours.shape
    if not count * width:
        return np.zeros((0, size), np.int64)
    ends = np.stack([np.repeat(np.arange(count), width), neighbours.ravel()], 1)
    keys = np.sort(ends[:, 0] * count + ends[:, 1])

    def linked(a, b):
        wanted = a * count + b
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return keys[place] == wanted

    mutual = linked(neighbours, np.arange(count)[:, None])
    mutual &= neighbours > np.arange(count)[:, None]  # a group is found by its first node
    found = np.where(mutual, neighbours, count)
    found.sort(1)
    found = found[:, :mutual.sum(1).max()]
    whole = [np.zeros((0, size), np.int64)]
    for others in itertools.combinations(range(found.shape[1]), size - 1):
        first = np.flatnonzero(found[:, others[-1]] < count)
        group = np.concatenate([first[:, None], found[np.ix_(first, others)]], 1)
        for a, b in itertools.combinations(range(1, size), 2):
            group = group[linked(group[:, a], group[:, b]) & linked(group[:, b], group[:, a])]
        whole.append(group)
    whole = np.concatenate(whole)
    return whole[np.lexsort(whole.T[::-1])]


def inter_pairs(found):
    """All pairs of each group, once: int64 `(pairs, 2)`, a < b, in order."""
    ends = [found[:, list(pair)] for pair in itertools.combinations(range(found.shape[1]), 2)]
    return np.unique(np.concatenate(ends), axis=0)


def transitive_pairs(inter):
    """The pairs that follow: of an edge A, B between first patches with last ones A', B' (nodes
    2t + 1 of 2t) they are A, B' and A', B and A', B' (section 3.3).

    Args:
        inter: int64 `(n, 2)`, even nodes.

    Returns:
        int64 `(3 n, 2)`.
    """
    steps = np.array([[0, 1], [1, 0], [1, 1]])
    return (inter[:, None] + steps).reshape(-1, 2)
