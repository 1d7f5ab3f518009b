"""The tables that are left in the end: videos, nodes, groups and pairs, as Parquet."""

import itertools
import os
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from keras_pretext._files import as_text, gfile, written
from keras_pretext.mining import graph
from keras_pretext.mining.shards import PLACES, read_tracks

NODES, PAIRS, GROUPS, VIDEOS = (f"{name}.parquet" for name in ("nodes", "pairs", "groups",
                                                               "videos"))
KINDS = pa.array(["intra", "inter", "transitive"])
_ROWS = 1 << 20  # of a table that are made at a time
_TYPES = {"frame": "int32", "time": "float64"}


def write_videos(out, shards):
    """Returns the counts of all videos, summed."""
    rows, total = [], {}
    for shard in range(shards):
        for video in read_tracks(out, shard)["about"]:
            counts = video["counts"]
            rows.append((as_text(video["path"]), counts.get("width", -1), counts.get("height", -1),
                         counts.get("frames", 0), _fps(counts), counts.get("tracks", 0),
                         video["status"]))
            for name, value in counts.items():
                if name not in ("width", "height", "seconds"):
                    total[name] = total.get(name, 0) + value
    path, width, height, frames, fps, tracks, status = zip(*rows, strict=True)
    table = {"video": np.arange(len(rows), dtype=np.int32), "path": path,
             "width": np.array(width, np.int32), "height": np.array(height, np.int32),
             "frames": np.array(frames, np.int32), "fps": np.array(fps, np.float64),
             "tracks": np.array(tracks, np.int32), "status": status}
    _write(os.path.join(out, VIDEOS), [pa.table(table)])
    return {**total, "videos": len(rows), "videos_without": sum(s != "ok" for s in status)}


def _fps(counts):
    seconds = counts.get("seconds", 0)
    return (counts["frames"] - 1) / seconds if seconds > 0 else float("nan")


def write_nodes(out, shards, parents, kept):
    """Args: parents: int32, of each track in order; kept: bool, of each parent."""
    def parts():
        start = 0
        for shard in range(shards):
            places = read_tracks(out, shard)
            node = start + np.arange(len(places["video"]))
            start += len(node)
            if not len(node):
                continue
            parent = parents[node // 2]
            yield pa.table({
                "node": node, "track": node // 2, "end": (node % 2).astype(np.int8),
                "video": places["video"],
                **{name: places[name].astype(_TYPES.get(name, "float32")) for name in PLACES},
                "parent": parent, "kept": kept[parent]})

    _write(os.path.join(out, NODES), parts())


def write_groups(out, items, width):
    """Args: items: yields (parent, groups of nodes), arrays; width: nodes of a group."""
    letters = [chr(ord("a") + k) for k in range(width)]
    empty = [(np.zeros(0, np.int32), np.zeros((0, width), np.int64))]
    _write(os.path.join(out, GROUPS), (
        pa.table({"parent": parent, **{letter: found[:, k] for k, letter in enumerate(letters)}})
        for parent, found in itertools.chain(empty, items)))


def write_pairs(out, parents, inter, recipe):
    """Intra pairs of every track, the inter pairs, and what follows from them.

    Args:
        out: the folder.
        parents: int32, of each track.
        inter: int64 `(n, 2)`, nodes.
        recipe: for the numbers of pairs and the seed.

    Returns:
        dict: how many of each kind.
    """
    rng = np.random.default_rng(recipe.seed)
    tracks = _some(rng, len(parents), recipe.intra_pairs)
    chosen = _some(rng, 3 * len(inter), recipe.transitive_pairs)

    def parts():
        for rows in _blocks(tracks):
            yield _pairs(np.stack([2 * rows, 2 * rows + 1], 1), 0, parents)
        for rows in _blocks(np.arange(len(inter))):
            yield _pairs(inter[rows], 1, parents)
        for rows in _blocks(chosen):
            of, step = np.divmod(rows, 3)
            ends = graph.transitive_pairs(inter[of]).reshape(-1, 3, 2)
            yield _pairs(ends[np.arange(len(of)), step], 2, parents)

    _write(os.path.join(out, PAIRS), parts())
    return {"intra": len(tracks), "inter": len(inter), "transitive": len(chosen)}


def _pairs(ends, kind, parents):
    kinds = pa.DictionaryArray.from_arrays(np.full(len(ends), kind, np.int8), KINDS)
    return pa.table({"a": ends[:, 0], "b": ends[:, 1], "kind": kinds,
                     "parent": parents[ends[:, 0] // 2]})


def _some(rng, count, most):
    if most is None or count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def _blocks(rows):
    return (rows[start:start + _ROWS] for start in range(0, len(rows), _ROWS))


def _write(path, parts):
    parts = iter(parts)
    first = next(parts)
    with tempfile.TemporaryDirectory() as folder, written(path) as beside:
        local = os.path.join(folder, "table")
        with pyarrow.parquet.ParquetWriter(local, first.schema) as writer:
            for table in itertools.chain([first], parts):
                writer.write_table(table)
        gfile().copy(local, beside, overwrite=True)
