"""From videos to pairs: stages that are Apache Beam transforms, each over pieces of work."""

import contextlib
import json
import os
import threading

import numpy as np

try:
    import apache_beam as beam
    import av  # noqa: F401
    import cv2
    import faiss  # noqa: F401
    import pyarrow  # noqa: F401
    from apache_beam.options.pipeline_options import PipelineOptions

    cv2.TrackerKCF  # noqa: B018
except (ImportError, AttributeError) as error:
    raise ImportError("mining needs Apache Beam, PyAV, faiss, pyarrow and OpenCV with its contrib "
                      "modules: pip install 'keras_pretext[mining]' (and no other build of OpenCV "
                      f"beside it). Received: {error}") from None

from keras_pretext._files import get, gfile, put
from keras_pretext.mining import clusters, graph, shards, tables, video
from keras_pretext.mining.node_features import NodeFeatures
from keras_pretext.mining.recipe import STAGES, MiningRecipe
from keras_pretext.mining.report import write_report
from keras_pretext.mining.shards import MASKS, PATCHES, WORK, finished, load, save, work_path

PIECE = 20_000  # tracks of one piece of work among the parents


class Stage(beam.PTransform):
    """Numbers of pieces of work to the numbers of those that are done, each written as a file.

    Args:
        out: the folder, which every worker must reach by this path.
        recipe: a MiningRecipe.
    """

    def __init__(self, out, recipe):
        super().__init__()
        self.out, self.recipe = out, recipe

    def expand(self, pieces):
        return pieces | beam.Reshuffle() | beam.ParDo(_Work(self))

    def setup(self):
        """Called once in each worker."""

    def work(self, piece):
        raise NotImplementedError


class _Work(beam.DoFn):
    def __init__(self, stage):
        self._stage = stage

    def setup(self):
        self._stage.setup()

    def process(self, piece):
        self._stage.work(piece)
        yield piece


class Tracks(Stage):
    """Videos to patches, tracks and masks; a piece is a shard of videos."""

    def __init__(self, out, recipe, videos):
        super().__init__(out, recipe)
        self.videos = videos

    def work(self, piece):
        first = piece * self.recipe.videos_per_shard
        shards.mine_shard(self.out, piece, first,
                          self.videos[first:first + self.recipe.videos_per_shard], self.recipe)


class Features(Stage):
    """The first patches of a shard's tracks to features."""

    def setup(self):
        self.run = NodeFeatures(self.recipe)

    def work(self, piece):
        save(work_path(self.out, "features", piece, ".npy"),
              self.run(shards.read_patches(self.out, piece, every=2)))


class Parents(Stage):
    """The features of a shard to the numbers of the nearest means."""

    def setup(self):
        self.means = np.array(load(_path(self.out, "parents", "means.npy")))

    def work(self, piece):
        features = load(work_path(self.out, "features", piece, ".npy"))
        parts = [clusters.assigned(features[k:k + PIECE].astype(np.float32), self.means)
                 for k in range(0, max(1, len(features)), PIECE)]
        save(work_path(self.out, "parents", piece), parents=np.concatenate(parts))


class Groups(Stage):
    """The tracks of some parents to groups of mutual neighbours, and the pairs of these."""

    def __init__(self, out, recipe, number):
        super().__init__(out, recipe)
        self.number = number  # of shards

    def setup(self):
        self.features = _Features(self.out, self.number)
        parents = _parents(self.out, self.number)
        self.order = np.argsort(parents, kind="stable")
        self.ends = np.cumsum(np.bincount(parents))
        self.pieces = json.loads(get(_path(self.out, "groups", "pieces.json")))

    def work(self, piece):
        found = [np.zeros((0, self.recipe.group), np.int64)]
        tracks = [np.sort(self.order[self.ends[p - 1] if p else 0:self.ends[p]])
                  for p in self.pieces[piece]]
        rows = np.sort(np.concatenate(tracks))
        features = self.features.rows(rows)
        for mine in tracks:
            near = graph.nearest(features[np.searchsorted(rows, mine)].astype(np.float32),
                                 self.recipe.neighbours)
            found.append(2 * mine[graph.groups(near, self.recipe.group)])
        parents = np.repeat(np.array(self.pieces[piece], np.int32), [len(g) for g in found[1:]])
        found = np.concatenate(found)
        save(work_path(self.out, "groups", piece), parents=parents, groups=found,
              inter=graph.inter_pairs(found))


def mine(videos, out, recipe=None, options=(), progress=True):
    """Mines pairs of patches from videos (Wang, He and Gupta, ICCV 2017, sections 3 and 4).

    The folder gets `nodes.parquet`, `pairs.parquet`, `groups.parquet`, `videos.parquet`,
    `patches/`, `masks/`, `mining.json` and `report.html`, as docs/mining.md tells. What a stage
    has written is not done again after an interruption; with other values in the recipe only what
    depends on them is made anew.

    Args:
        videos: files and folders, a path or a list.
        out: the folder.
        recipe: a MiningRecipe; by default the paper's.
        options: of the Beam pipeline, a list of strings, such as `["--runner=FlinkRunner"]`; by
            default it runs in this process. Workers must reach the folder by the same path.
        progress: show a bar for each stage.

    Returns:
        dict: the counts of each stage, as in `mining.json`.

    Raises:
        ValueError: no video that can be used, a folder that holds the mining of other videos,
            an unknown model, clusters that are all too small; each says what to change.
    """
    recipe, out = recipe or MiningRecipe(), str(out)
    videos = video.find(videos)
    number = -(-len(videos) // recipe.videos_per_shard)
    weights = NodeFeatures(recipe).weights  # an unknown model is told before hours of tracking
    _begin(out, videos, recipe, weights)
    run = Runner(out, options, progress)
    run(Tracks(out, recipe, videos), "tracks", number)
    counts = tables.write_videos(out, number)
    if not counts.get("tracks"):
        raise ValueError(_no_tracks(counts))
    run(Features(out, recipe), "features", number)
    counts |= join(out, recipe, number, run)
    put(os.path.join(out, "mining.json"),
        json.dumps({"recipe": recipe.to_dict(), "counts": counts}, indent=1).encode())
    write_report(out, recipe, counts)
    return counts


def join(out, recipe, number, run):
    """From the tracks and their features, as they lie in the folder, to pairs.

    Args:
        out: the folder.
        recipe: a MiningRecipe.
        number: of shards.
        run: what runs a stage.

    Returns:
        dict: counts of clusters, parents, groups and pairs.
    """
    features = _Features(out, number)
    means = _path(out, "parents", "means.npy")
    if not gfile().exists(means):
        k = clusters.number_of_clusters(recipe, features.count)
        rng = np.random.default_rng(recipe.seed)
        size = min(features.count, k * recipe.points_per_cluster)
        sample = np.sort(rng.choice(features.count, size, replace=False))
        save(means, clusters.centroids(features.rows(sample).astype(np.float32), k, recipe.seed))
    run(Parents(out, recipe), "parents", number)
    parents = _parents(out, number)
    sizes = np.bincount(parents, minlength=len(load(means)))
    kept = sizes >= recipe.least_members
    if not kept.any():
        raise ValueError(f"the largest of {len(sizes)} clusters has {sizes.max()} tracks, fewer "
                         "than least_members: lower least_members or clusters, or mine more "
                         f"video. Received: least_members={recipe.least_members}")
    pieces = _pieces(np.flatnonzero(kept), sizes)
    put(_path(out, "groups", "pieces.json"), json.dumps(pieces).encode())
    run(Groups(out, recipe, number), "groups", len(pieces))
    tables.write_nodes(out, number, parents, kept)
    counts, inter = {"groups": 0, "tracks_in_groups": 0}, []

    def found():
        for piece in range(len(pieces)):
            with load(work_path(out, "groups", piece)) as file:
                groups = file["groups"]
                counts["groups"] += len(groups)
                counts["tracks_in_groups"] += len(np.unique(groups))
                inter.append(file["inter"])
                yield file["parents"], groups

    tables.write_groups(out, found(), recipe.group)
    pairs = tables.write_pairs(out, parents, np.concatenate(inter), recipe)
    return {"clusters": len(sizes), "parents": int(kept.sum()),
            "tracks_in_parents": int(sizes[kept].sum()), **counts, **pairs}


class Runner:
    """Runs a stage over its pieces that are not there yet."""

    def __init__(self, out, options=(), progress=False):
        self._out, self._options, self._progress = out, list(options), progress

    def missing(self, name, pieces):
        return sorted(set(range(pieces)) - finished(self._out, name))

    def __call__(self, stage, name, pieces):
        missing = self.missing(name, pieces)
        if not missing:
            return
        with self._bar(name, pieces, len(missing)):
            with beam.Pipeline(options=PipelineOptions(self._options)) as pipeline:
                _ = pipeline | beam.Create(missing) | stage
        left = self.missing(name, pieces)
        if left:
            raise RuntimeError(f"{len(left)} of {pieces} pieces of the stage {name!r} are not "
                               "there: the workers of a Beam runner must reach the folder by the "
                               f"same path. Received: {self._out!r}")

    @contextlib.contextmanager
    def _bar(self, name, pieces, missing):
        from tqdm import tqdm

        end = threading.Event()
        with tqdm(total=pieces, initial=pieces - missing, desc=name, unit=" pieces",
                  disable=not self._progress) as bar:
            def look():
                while not end.wait(1):
                    bar.update(pieces - len(self.missing(name, pieces)) - bar.n)

            thread = threading.Thread(target=look, daemon=True)
            if self._progress:
                thread.start()
            try:
                yield
            finally:
                end.set()
                if self._progress:
                    thread.join()
                    bar.update(pieces - len(self.missing(name, pieces)) - bar.n)


class _Features:
    """The features of all tracks, read from where they lie."""

    def __init__(self, out, number):
        self._shards = [load(work_path(out, "features", k, ".npy")) for k in range(number)]
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        self.count = int(self._ends[-1])

    def rows(self, wanted):
        """float16 `(n, d)` of tracks, ascending."""
        place = np.searchsorted(self._ends, wanted, "right")
        return np.concatenate([
            self._shards[k][wanted[place == k] - (self._ends[k - 1] if k else 0)]
            for k in np.unique(place)])


def _begin(out, videos, recipe, weights):
    """Makes the folder, or drops from it what another recipe or other weights change."""
    plan = {"tracks": {"videos": videos, "contents": [*map(video.mark, videos)]},
            "features": {"weights": weights}, "parents": {}, "groups": {}, "pairs": {}}
    for name, value in recipe.to_dict().items():
        plan[STAGES[name]][name] = value
    path = os.path.join(out, WORK, "plan.json")
    known = json.loads(get(path)) if gfile().exists(path) else plan
    for stage, field in (("tracks", "contents"), ("features", "weights")):
        known[stage].setdefault(field, plan[stage][field])  # former versions did not ask
    changed = [stage for stage in plan if known[stage] != plan[stage]]
    if "tracks" in changed:
        fields = [name for name in plan["tracks"] if known["tracks"].get(name) !=
                  plan["tracks"][name]]
        raise ValueError("this folder holds what was mined from other videos or in another way; "
                         f"choose another folder, or remove it. Received: {out!r}, other "
                         f"{', '.join(fields)}")
    for stage in [*plan][[*plan].index(changed[0]):] if changed else []:
        if gfile().isdir(os.path.join(out, WORK, stage)):
            gfile().rmtree(os.path.join(out, WORK, stage))
    for folder in (PATCHES, *([MASKS] if recipe.masks else []),
                   *(os.path.join(WORK, stage) for stage in plan if stage != "pairs")):
        gfile().makedirs(os.path.join(out, folder))
    put(path, json.dumps(plan, indent=1).encode())


def _pieces(parents, sizes):
    """Parents joined to lists of at most `PIECE` tracks, or of one parent."""
    pieces, room = [], 0
    for parent in parents.tolist():
        if room < sizes[parent]:
            pieces.append([])
            room = PIECE
        pieces[-1].append(parent)
        room -= sizes[parent]
    return pieces


def _no_tracks(counts):
    why = ", ".join(f"{name} {counts[name]}" for name in (
        "frames", "looked", "no_points", "little_motion", "much_motion", "started", "lost", "left",
        "uneven", "cut_short") if counts.get(name))
    return ("no video gives a track. Frames in which nothing moves: lower least_moving or moving; "
            "in which all moves: raise most_moving; videos that are too short: lower track_length "
            f"(videos.parquet has the reason of each). Received: {counts['videos']} videos, "
            f"{why or 'none of which can be read'}")


def _path(out, stage, name):
    return os.path.join(out, WORK, stage, name)


def _parents(out, number):
    return np.concatenate([load(work_path(out, "parents", k))["parents"]
                           for k in range(number)])
