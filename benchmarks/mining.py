"""From features to pairs: time and memory of mining's graph as the number of nodes grows.

Features are drawn (64 numbers; one blob for every 1,000 tracks, and in it one for every 25);
everything behind them is as in `keras-pretext mine`: k-means, neighbours, groups, pairs, tables.
Wanted: near-linear, so that the last column stays near 1, and memory that grows far slower than the
nodes.

    python benchmarks/mining.py [most nodes, default 1000000]
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

DIM, BLOB, CHILD, SHARD = 64, 1000, 25, 50_000


def write_features(out, tracks):
    """What the stages before have left: a table of the tracks and their features, in shards."""
    from keras_pretext.mining.shards import PLACES, WORK, save, work_path

    rng = np.random.default_rng(0)
    for stage in ("tracks", "features", "parents", "groups"):
        os.makedirs(os.path.join(out, WORK, stage))
    middle = 2 * rng.normal(size=(tracks // BLOB, 1, DIM)).astype(np.float32)
    middle = (middle + rng.normal(size=(1, BLOB // CHILD, DIM)).astype(np.float32)).reshape(-1, DIM)
    for shard, start in enumerate(range(0, tracks, SHARD)):
        count = min(SHARD, tracks - start)
        x = middle[rng.integers(len(middle), size=count)]
        x = x + rng.normal(size=x.shape).astype(np.float32) / 2
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        save(work_path(out, "features", shard, ".npy"), x.astype(np.float16))
        save(work_path(out, "tracks", shard), about="[]",
             video=np.repeat(np.arange(start, start + count, dtype=np.int32), 2),
             **{name: np.zeros(2 * count) for name in PLACES})
    return -(-tracks // SHARD)


def one(nodes):
    """Prints the figures of one size as JSON; in a process of its own, for its memory."""
    from keras_pretext.mining import MiningRecipe, pipeline

    with tempfile.TemporaryDirectory() as out:
        recipe = MiningRecipe(nodes_per_cluster=BLOB, least_members=100, intra_pairs=None,
                              transitive_pairs=None)
        shards = write_features(out, nodes // 2)
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        counts = pipeline.join(out, recipe, shards, pipeline.Runner(out))
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "before": before / 1024, "after": after / 1024,
                      **counts}))


def main(most):
    print("     nodes  seconds  peak MiB  (before)  clusters   groups      pairs  "
          "seconds a node / those of the first")
    first = None
    for nodes in (10_000, 100_000, 1_000_000):
        if nodes > most:
            break
        run = subprocess.run([sys.executable, __file__, "--one", str(nodes)], check=True,
                             capture_output=True, text=True)
        found = json.loads(run.stdout.splitlines()[-1])
        first = first or found["seconds"] / nodes
        pairs = found["intra"] + found["inter"] + found["transitive"]
        print(f"{nodes:10,} {found['seconds']:8.1f} {found['after']:9.0f} {found['before']:9.0f} "
              f"{found['clusters']:9} {found['groups']:8,} {pairs:10,} "
              f"{found['seconds'] / nodes / first:8.2f}", flush=True)


if __name__ == "__main__":
    one(int(sys.argv[2])) if sys.argv[1:2] == ["--one"] else main(
        int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
