"""What mining found, as one HTML page: counts at each stage, clusters, groups, pairs."""

import base64
import html
import os

import numpy as np
import pyarrow.parquet

from keras_pretext._files import put
from keras_pretext.evaluation.report.page import document, figure, table_row
from keras_pretext.mining import shards, tables

SHARDS, PARENTS, MEMBERS, EXAMPLES = 8, 12, 8, 8  # looked into, and shown

_COUNTS = [
    ("videos", "videos", ""),
    ("videos_without", "without a track (videos.parquet has the reasons)", ""),
    ("frames", "frames", ""),
    ("looked", "frames looked at for motion", "stride"),
    ("no_points", "rejected: no points", ""),
    ("little_motion", "rejected: too little moves", "least_moving, moving"),
    ("much_motion", "rejected: too much moves", "most_moving"),
    ("started", "tracks started", ""),
    ("lost", "lost by the tracker", "tracker_window"),
    ("left", "left the frame", "inside"),
    ("uneven", "uneven in time", "uneven"),
    ("cut_short", "cut short by the video's end", "track_length"),
    ("tracks", "tracks, of two patches each", ""),
    ("clusters", "clusters", "clusters, nodes_per_cluster"),
    ("parents", "parents: clusters that are large enough", "least_members"),
    ("tracks_in_parents", "tracks in them", ""),
    ("groups", "groups of mutual neighbours", "group, neighbours"),
    ("tracks_in_groups", "tracks in them", ""),
    ("intra", "intra-instance pairs", "intra_pairs"),
    ("inter", "inter-instance pairs", ""),
    ("transitive", "transitive pairs", "transitive_pairs"),
]


def write_report(out, recipe, counts):
    """Writes `report.html`.

    Args:
        out: the folder with the tables.
        recipe: the MiningRecipe.
        counts: of each stage.
    """
    nodes = _read(out, tables.NODES, ["node", "end", "video", "parent", "kept"])
    groups = _read(out, tables.GROUPS)
    pairs = _read(out, tables.PAIRS, ["a", "b", "kind"])
    place = _Patches(out, nodes["video"] // recipe.videos_per_shard)
    lines = ["<h2>Counts</h2>", '<div class="wide"><table><tbody>',
             *(table_row([text, f"{counts[name]:,}", note]) for name, text, note in _COUNTS
               if name in counts), "</tbody></table></div>",
             f'<p class="note">Features: {html.escape(recipe.model)}, {html.escape(recipe.tap)}. '
             "Names in the last column are fields of the recipe.</p>",
             *_parents(nodes, place), *_groups(nodes, groups, place), *_pairs(nodes, pairs, place)]
    put(os.path.join(out, "report.html"), document("Mined pairs", lines).encode())


def _parents(nodes, place):
    first = (nodes["end"] == 0) & nodes["kept"] & place.there
    rows, sizes = [], np.bincount(nodes["parent"][(nodes["end"] == 0) & nodes["kept"]])
    for parent in np.argsort(-sizes, kind="stable")[:PARENTS]:
        mine = np.flatnonzero(first & (nodes["parent"] == parent))
        if sizes[parent] and len(mine):
            some = mine[np.linspace(0, len(mine) - 1, min(MEMBERS, len(mine))).astype(int)]
            videos = len(np.unique(nodes["video"][mine]))
            rows.append((f"Parent {parent}: {sizes[parent]:,} tracks, {videos} videos here",
                         [(n, f"video {nodes['video'][n]}") for n in some]))
    return ["<h2>Parents</h2>", "<p>The largest clusters; first patches of some of their "
            "tracks.</p>", *place.rows(rows)]


def _groups(nodes, groups, place):
    ends = np.stack([groups[letter] for letter in groups if letter != "parent"], 1)
    ends = ends[place.there[ends].all(1)]
    # those of most videos tell most
    order = np.argsort([-len(set(row)) for row in nodes["video"][ends].tolist()], kind="stable")
    some = ends[order[np.linspace(0, len(order) // 4, min(EXAMPLES, len(order))).astype(int)]] \
        if len(ends) else ends
    return ["<h2>Groups</h2>", "<p>Child clusters: each patch is among the nearest of each other."
            "</p>", *place.rows([("", [(n, f"video {nodes['video'][n]}") for n in row])
                                 for row in np.unique(some, axis=0)])]


def _pairs(nodes, pairs, place):
    ends = np.stack([pairs["a"], pairs["b"]], 1)
    inter = ends[np.isin(pairs["kind"], ["inter"]) & place.there[ends].all(1)]
    apart = nodes["video"][inter[:, 0]] != nodes["video"][inter[:, 1]]
    inter = inter[apart] if apart.any() else inter
    some = inter[np.linspace(0, len(inter) - 1, min(EXAMPLES, len(inter))).astype(int)]
    return ["<h2>Transitive pairs</h2>", "<p>A and B are of one group, A' and B' the last patches "
            "of their tracks. A and B', A' and B, A' and B' are the pairs that follow.</p>",
            *place.rows([("", [(a, "A"), (a + 1, "A'"), (b, "B"), (b + 1, "B'")])
                         for a, b in some])]


class _Patches:
    """Pictures of the nodes of some shards."""

    def __init__(self, out, shard):
        found = np.unique(shard)
        some = found[np.linspace(0, len(found) - 1, min(SHARDS, len(found))).astype(int)]
        self.there = np.isin(shard, some)
        self._out, self._shard = out, shard
        self._starts = {k: int(np.searchsorted(shard, k)) for k in some.tolist()}

    def rows(self, rows):
        """HTML of rows of (title, [(node, caption)])."""
        wanted = {node for _, row in rows for node, _ in row}
        uris = {}
        for shard, start in self._starts.items():
            mine = sorted(n for n in wanted if self._shard[n] == shard)
            found = shards.read_patches(self._out, shard, wanted=[n - start for n in mine])
            uris |= {n: "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
                     for n, jpeg in zip(mine, found, strict=True)}
        out = []
        for title, row in rows:
            out += [f"<h3>{html.escape(title)}</h3>"] if title else []
            out += ['<div class="row">', *(figure(uris[node], caption, f"node {node}")
                                           for node, caption in row), "</div>"]
        return out or ["<p>None.</p>"]


def _read(out, name, columns=None):
    table = pyarrow.parquet.read_table(os.path.join(out, name), columns=columns)
    return {name: np.asarray(table[name].to_pylist()) if name == "kind"
            else table[name].to_numpy() for name in table.column_names}
