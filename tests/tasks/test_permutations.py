import itertools
import math

import numpy as np
import pytest

from keras_pretext.tasks import permutations


def slow_set(count, tiles, selection, first):
    """The greedy choice as it is written, in Python."""
    every = [*itertools.permutations(range(tiles))]
    chosen = [every[first]]
    while len(chosen) < count:
        def key(p):
            distances = [sum(a != b for a, b in zip(p, q, strict=True)) for q in chosen]
            return (min(distances), sum(distances)) if selection == "max_min" else sum(distances)

        chosen.append(max((p for p in every if p not in chosen), key=key))  # the first of equals
    return np.array(chosen)


@pytest.mark.parametrize("selection", permutations.SELECTIONS)
def test_the_choice_is_the_greedy_one(selection):
    found = permutations.permutation_set(40, 5, selection, seed=3)
    first = [*itertools.permutations(range(5))].index(tuple(found[0].tolist()))
    np.testing.assert_array_equal(found, slow_set(40, 5, selection, first))


@pytest.mark.parametrize("count, least, mean", [(64, 7, 8.12), (100, 6, 8.08), (1000, 5, 8.00)])
def test_no_two_classes_are_alike(count, least, mean):
    found = permutations.hamming(permutations.permutation_set(1000)[:count])
    assert found[0] == least and found[1] == pytest.approx(mean, abs=0.01)


def test_the_published_choice_leaves_pairs_that_differ_by_one_swap():
    table = permutations.permutation_set(100, selection="mean")
    least, mean = permutations.hamming(table)
    assert least == 2 and mean == pytest.approx(8.08, abs=0.005)


def test_hamming_by_hand():
    assert permutations.hamming([[0, 1, 2], [0, 2, 1], [1, 2, 0]]) == (2, pytest.approx(7 / 3))


def test_a_smaller_set_is_the_beginning_of_a_larger_one_and_hashes_say_which():
    hundred = permutations.permutation_set(100)
    np.testing.assert_array_equal(hundred[:64], permutations.permutation_set(64))
    assert permutations.fingerprint(hundred) == (
        "d5613f91d55dae9259c2d1b10df78c89b81d76e5fe329233d7f5821b2c92bc3f")
    assert permutations.fingerprint(hundred) != permutations.fingerprint(hundred[::-1])
    assert not np.array_equal(hundred, permutations.permutation_set(100, seed=1))


@pytest.mark.parametrize("tiles, selection", [(4, "max_min"), (4, "mean"), (3, "max_min")])
def test_all_permutations_of_a_small_puzzle(tiles, selection):
    total = math.factorial(tiles)
    assert len(np.unique(permutations.permutation_set(total, tiles, selection), axis=0)) == total
    almost = permutations.permutation_set(total - 1, tiles, selection)
    assert len(np.unique(almost, axis=0)) == total - 1


@pytest.mark.parametrize("name", ["set.npy", "set.txt"])
def test_a_file_counts_from_0_or_from_1_and_is_held_to_its_hash(tmp_path, name):
    table, path = permutations.permutation_set(24, 4), tmp_path / name
    print_hash = permutations.fingerprint(table)
    for first in (0, 1):
        if name.endswith("npy"):
            np.save(path, table + first)
        else:
            permutations.save(path, table + first)
        np.testing.assert_array_equal(permutations.load(path, 4, print_hash), table)
    np.save(tmp_path / "other.npy", table[::-1])
    with pytest.raises(ValueError, match=f"{print_hash} was asked for.*Received: 24"):
        permutations.load(tmp_path / "other.npy", 4, print_hash)


@pytest.mark.parametrize("text, message", [
    ("0 1 2 3\n0 1 2\n", r"has 4 numbers. Received: 2 rows of length \[3, 4\]"),
    ("0 1 2 3\n0 1 2 2\n", r"once. Received: \[0, 1, 2, 2\] in row 1"),
    ("0 1 2 3\n0 1 2 3\n", "Received: 2 rows, 1 different"),
    ("not numbers at all\n", "not a file of permutations.*set.txt"),
    ("", "Received: 0 rows"),
])
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "set.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        permutations.load(path, 4)


@pytest.mark.parametrize("arguments, message", [
    ((25, 4), "4! = 24 permutations. Received: 25"), ((0, 4), "Received: 0"),
    ((10, 16), "at most 9 tiles.*Received: 16"), ((10, 4, "max"), "Did you mean 'max_min'"),
])
def test_impossible_sets(arguments, message):
    with pytest.raises(ValueError, match=message):
        permutations.permutation_set(*arguments)
    with pytest.raises(ValueError, match="not there"):
        permutations.load("nowhere.txt")
