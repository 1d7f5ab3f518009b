"""Permutation sets: which of the many orders of a puzzle's tiles are its classes.

The tasks' convention: in the puzzle of a permutation, slot t holds tile perm[t]; tiles and slots
are counted from 0 in raster order. A set is a uint8 table `(count, tiles)`; the pseudolabel of a
puzzle is its permutation's row, so that the order of the rows is part of the set.
"""

import functools
import hashlib
import math
import pathlib
import random

import numpy as np

from keras_pretext.registry import unknown_name

SELECTIONS = ("max_min", "mean")
MOST_TILES = 9


@functools.lru_cache(maxsize=16)
def permutation_set(count, tiles=9, selection="max_min", seed=0):
    """`count` permutations that differ in many places, always the same for the same arguments.

    One is chosen by the seed; then always the one that is farthest, in Hamming distance, from
    those chosen before. "max_min": whose nearest is farthest and, of these, whose mean distance
    is largest (9 tiles: no two of 64, 100, 1000 agree in more than 2, 3, 4 places). "mean": whose
    mean distance is largest, as published (Noroozi and Favaro, ECCV 2016, Algorithm 1), which
    leaves pairs that differ by one swap. Of equals the first in lexicographic order.

    Time grows with `count * tiles!`: a second or so for 1000 permutations of 9 tiles.

    Args:
        count: 1 to `tiles!`.
        tiles: at most 9.
        selection: "max_min" or "mean".
        seed: of the first permutation.

    Returns:
        uint8 `(count, tiles)`, not writable.

    Raises:
        ValueError: for more permutations than there are, or more tiles than can be listed.
    """
    if selection not in SELECTIONS:
        raise ValueError(unknown_name("selection of permutations", selection, SELECTIONS))
    if not 1 <= tiles <= MOST_TILES:
        raise ValueError(f"permutations are chosen among all of at most {MOST_TILES} tiles; give "
                         f"a table or a file for more. Received: {tiles} tiles")
    total = math.factorial(tiles)
    if not 1 <= count <= total:
        raise ValueError(f"{tiles} tiles have {tiles}! = {total} permutations. Received: {count}")
    every = _every(tiles)
    if count == total:  # nothing to choose: all of them, in lexicographic order
        return every
    columns = np.ascontiguousarray(every.T)
    agree, most = np.zeros(total, "uint8"), np.zeros(total, "uint8")
    summed = np.zeros(total, "int32")  # places that agree with the chosen, over all of these
    chosen, at = np.empty(count, "int64"), int(random.Random(seed).random() * total)
    for k in range(count):
        chosen[k] = at
        agree[:] = 0
        for column, tile in zip(columns, every[at], strict=True):
            agree += column == tile
        np.maximum(most, agree, out=most)
        summed += agree
        first = most if selection == "max_min" else (most == tiles)  # the chosen come last
        at = int(np.argmin(summed + first * np.int32(tiles * count + 1)))
    return _frozen(every[chosen])


@functools.lru_cache(maxsize=1)
def _every(tiles):
    """All permutations in lexicographic order: uint8 `(tiles!, tiles)`."""
    table = np.zeros((1, 1), "uint8")
    for n in range(2, tiles + 1):  # each first tile, before the orders of the others
        others = np.array([[k for k in range(n) if k != first] for first in range(n)], "uint8")
        first = np.repeat(np.arange(n, dtype="uint8"), len(table))[:, None]
        table = np.hstack([first, others[:, table].reshape(-1, n - 1)])
    return _frozen(table)


def _frozen(table):
    table.setflags(write=False)
    return table


def hamming(table):
    """The least and the mean Hamming distance of two different rows of a table, in places."""
    rows = np.asarray(table)
    if len(rows) < 2:
        raise ValueError(f"a distance needs two permutations. Received: {len(rows)}")
    least, total = rows.shape[1], 0
    for k in range(1, len(rows)):
        distance = (rows[:k] != rows[k]).sum(1)
        least, total = min(least, int(distance.min())), total + int(distance.sum())
    return least, total / (len(rows) * (len(rows) - 1) / 2)


def fingerprint(table):
    """SHA-256 of a table, in hexadecimal: of its numbers row by row, one byte each."""
    return hashlib.sha256(np.ascontiguousarray(table, "uint8").tobytes()).hexdigest()


def checked(table, tiles):
    """A table of permutations, counted from 0 or from 1, as uint8 `(count, tiles)`.

    Rows may be strings of digits, as in a task's config.

    Raises:
        ValueError: where a row is no permutation of the tiles, or there twice.
    """
    rows = [[int(c) for c in row] if isinstance(row, str) else row for row in table]
    if not rows or any(np.shape(row) != (tiles,) for row in rows):
        raise ValueError(f"a permutation of this puzzle has {tiles} numbers. Received: "
                         f"{len(rows)} rows of length {sorted({np.size(row) for row in rows})}")
    table = np.asarray(rows, "int64")
    table = table - (table.min() == 1)
    wrong = (np.sort(table, 1) != np.arange(tiles)).any(1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"a permutation holds each of 0 to {tiles - 1} once. "
                         f"Received: {table[row].tolist()} in row {row}")
    if len(np.unique(table, axis=0)) < len(table):
        raise ValueError("every permutation is there once. Received: "
                         f"{len(table)} rows, {len(np.unique(table, axis=0))} different")
    return _frozen(table.astype("uint8"))


def load(path, tiles=9, sha256=None):
    """A table from a `.npy` file, or from text with a permutation a line.

    Args:
        path: the file; its numbers count from 0, or all from 1 as in some published files.
        tiles: length of a permutation.
        sha256: the `fingerprint` that the table must have.

    Raises:
        ValueError: where there is no such file, or it holds something else.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"a file of permutations is .npy or text. Received: {path}, not there")
    try:
        table = (np.load(path, allow_pickle=False) if path.suffix == ".npy" else
                 [row.replace(",", " ").split() for row in path.read_text().splitlines()
                  if row.strip()])
        rows = [row[0] if np.size(row) == 1 else [int(n) for n in row] for row in table]
        table = checked(rows, tiles)
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a file of permutations: {path}. {error}") from None
    verified(table, sha256, path)
    return table


def save(path, table):
    """Writes a table as text, a permutation a line, numbers from 0, as `load` reads it."""
    rows = [" ".join(map(str, row)) for row in np.asarray(table).tolist()]
    pathlib.Path(path).write_text("\n".join(rows) + "\n")


def verified(table, sha256, where):
    """Raises ValueError where a table does not have the fingerprint that is asked for."""
    found = fingerprint(table)
    if sha256 is not None and sha256 != found:
        raise ValueError(f"the permutations are not those that labels count in: {where} has the "
                         f"SHA-256 {found}, and {sha256} was asked for. Received: {len(table)} "
                         "permutations")


def resolve(permutations, tiles, selection="max_min", seed=0, sha256=None):
    """The table that a task's option means: a count, a file's path, or rows."""
    if isinstance(permutations, str | pathlib.PurePath):
        return load(permutations, tiles, sha256)
    if isinstance(permutations, int | np.integer):
        table = permutation_set(int(permutations), tiles, selection, seed)
    else:
        table = checked(permutations, tiles)
    verified(table, sha256, "this set")
    return table
