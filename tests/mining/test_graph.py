"""Neighbours, groups and pairs against what loops over everything find."""

import itertools

import numpy as np
import pytest

pytest.importorskip("faiss")

from keras_pretext.mining import graph  # noqa: E402


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_the_nearest_are_by_cosine_and_never_oneself(rng):
    x = unit(rng.normal(size=(40, 5)))
    cosine = x @ x.T - 9 * np.eye(40)
    np.testing.assert_array_equal(graph.nearest(x, 7), np.argsort(-cosine, 1)[:, :7])


def test_twins_are_neighbours_too(rng):
    x = unit(np.concatenate([np.ones((15, 4)), rng.normal(size=(3, 4))]))
    found = graph.nearest(x, 10)
    assert found.shape == (18, 10) and not (found == np.arange(18)[:, None]).any()
    assert all(len(set(row)) == 10 for row in found) and found[:15].max() < 15


@pytest.mark.parametrize("rows, width", [(0, 0), (1, 0), (2, 1), (5, 4)])
def test_few_rows_have_few_neighbours(rows, width):
    assert graph.nearest(unit(np.eye(max(rows, 2))[:rows]), 10).shape == (rows, width)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_groups_are_all_sets_that_are_mutually_near(rng, size):
    near = graph.nearest(unit(rng.normal(size=(30, 3))), 6)
    expected = [s for s in itertools.combinations(range(30), size)
                if all(b in near[a] and a in near[b] for a, b in itertools.combinations(s, 2))]
    assert expected
    np.testing.assert_array_equal(graph.groups(near, size), expected)


def test_one_way_neighbours_are_no_group():
    near = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [4, 5, 0], [5, 6, 3], [4, 6, 3], [4, 5, 3]])
    assert len(graph.groups(near, 4)) == 0
    np.testing.assert_array_equal(graph.groups(near, 3), [[0, 1, 2], [3, 4, 5], [4, 5, 6]])


def test_no_nodes_no_groups():
    assert graph.groups(np.zeros((0, 0), np.int64)).shape == (0, 4)
    assert graph.groups(np.zeros((1, 0), np.int64)).shape == (0, 4)
    assert graph.inter_pairs(np.zeros((0, 4), np.int64)).shape == (0, 2)


def test_overlapping_groups_give_each_pair_once():
    found = graph.inter_pairs(np.array([[0, 2, 4, 6], [0, 2, 4, 8]]))
    np.testing.assert_array_equal(found, [[0, 2], [0, 4], [0, 6], [0, 8], [2, 4], [2, 6], [2, 8],
                                          [4, 6], [4, 8]])


def test_transitive_pairs_join_a_first_patch_with_the_others_last_one():
    np.testing.assert_array_equal(graph.transitive_pairs(np.array([[2, 8]])),
                                  [[2, 9], [3, 8], [3, 9]])
