import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from keras_pretext.tasks import clustering

ENGINES = [pytest.param("faiss", marks=pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="faiss is not installed")), "keras"]


def blobs(rng, kinds=6, each=40, width=12, spread=0.05):
    """Points around `kinds` far places, shuffled, and the kind of each."""
    truth = rng.permutation(np.repeat(np.arange(kinds), each))
    centres = rng.normal(size=(kinds, width))
    return (centres[truth] + spread * rng.normal(size=(len(truth), width))).astype("f4"), truth


def inertia(points, labels):
    return sum(((points[labels == k] - points[labels == k].mean(0)) ** 2).sum()
               for k in np.unique(labels))


def test_features_are_whitened_as_scikit_learn_does_it_and_have_norm_one(rng, tmp_path):
    features = (rng.normal(size=(300, 10)) @ rng.normal(size=(10, 10)) + 5).astype("f2")
    mean, matrix = clustering.whitening(features, 4)
    points = (features.astype("f4") - mean) @ matrix
    np.testing.assert_allclose(np.cov(points.T, bias=True), np.eye(4), atol=1e-3)
    theirs = PCA(4, whiten=True, svd_solver="full").fit_transform(features.astype("f8"))
    signs = np.sign((theirs * points).sum(0))
    np.testing.assert_allclose(points * signs, theirs * (300 / 299) ** 0.5, atol=5e-3)

    out = clustering.whitened(features, 4, tmp_path / "points.npy")
    assert isinstance(out, np.memmap) and out.dtype == np.float32 and out.shape == (300, 4)
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        out, points / np.linalg.norm(points, axis=1, keepdims=True), atol=1e-5)


def test_fewer_pictures_than_features_are_whitened_alike(rng):
    features = (rng.normal(size=(30, 50)) * np.arange(1, 51)).astype("f4")
    mean, matrix = clustering.whitening(features, 6)
    points = (features - mean) @ matrix
    theirs = PCA(6, whiten=True, svd_solver="full").fit_transform(features.astype("f8"))
    signs = np.sign((theirs * points).sum(0))
    np.testing.assert_allclose(points * signs, theirs * (30 / 29) ** 0.5, atol=1e-3)
    mean, matrix = clustering.whitening(features, 256)
    assert matrix.shape == (50, 30) and np.isfinite(matrix).all()


def test_components_without_variance_stay_zero_and_there_are_no_more_than_features(rng, tmp_path):
    features = rng.normal(size=(50, 2)).astype("f4") @ rng.normal(size=(2, 6)).astype("f4")
    out = clustering.whitened(features, 256, tmp_path / "points.npy")
    assert out.shape == (50, 6) and np.isfinite(out).all()
    assert (np.abs(out).max(0) > 0.1).tolist() == [True, True] + 4 * [False]


def test_equal_features_are_refused(tmp_path):
    for value in (0.0, 0.3, 1234.5):
        with pytest.raises(ValueError, match="same for every picture.*Received: 40 equal rows"):
            clustering.whitened(np.full((40, 5), value, "f2"), 3, tmp_path / "points.npy")


@pytest.mark.parametrize("engine", ENGINES)
def test_kmeans_finds_what_is_far_apart_and_repeats_itself(rng, engine):
    points, truth = blobs(rng)
    first, again = (clustering.kmeans(points, 12, np.random.default_rng(3), engine)
                    for _ in range(2))
    assert first.dtype == np.int32 and first.shape == truth.shape
    np.testing.assert_array_equal(first, again)
    pure = [np.bincount(truth[first == k]).max() / (first == k).sum() for k in np.unique(first)]
    assert np.mean(pure) > 0.98
    other = clustering.kmeans(points, 12, np.random.default_rng(4), engine)
    assert (first != other).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_kmeans_is_as_good_as_scikit_learns(rng, engine):
    points = rng.normal(size=(1500, 8)).astype("f4")
    ours = inertia(points, clustering.kmeans(points, 20, np.random.default_rng(0), engine))
    theirs = KMeans(20, init="random", n_init=1, max_iter=20, random_state=0).fit(points).inertia_
    assert ours < 1.02 * theirs


def test_the_size_of_the_blocks_changes_nothing(rng, tmp_path, monkeypatch):
    points, _ = blobs(rng)
    features = points.astype("f2")

    def found():
        out = clustering.whitened(features, 5, tmp_path / "points.npy")
        return np.array(out), clustering.kmeans(out, 9, np.random.default_rng(0), "keras")

    whole = found()
    monkeypatch.setattr(clustering, "MEMORY", 4 * 17 * 7)
    assert len(clustering.blocks(len(points), 14)) > 20
    parts = found()
    np.testing.assert_allclose(np.abs(parts[0]), np.abs(whole[0]), atol=1e-4)
    np.testing.assert_array_equal(parts[1], whole[1])


def test_blocks_cover_all_rows_once_within_the_bound():
    parts = clustering.blocks(100_000, 4096)
    np.testing.assert_array_equal(np.concatenate([np.arange(100_000)[p] for p in parts]),
                                  np.arange(100_000))
    assert all((p.stop - p.start) * 4096 * 4 <= clustering.MEMORY for p in parts)
    assert len(clustering.blocks(3, 1 << 40)) == 3


def test_an_empty_cluster_takes_half_of_a_large_one(rng):
    centroids = np.arange(15, dtype="f8").reshape(5, 3) + 1
    counts = np.array([1, 0, 100, 0, 1])
    before = centroids.copy()
    clustering._split(centroids, counts, rng)
    assert counts.sum() == 102 and counts.min() > 0
    np.testing.assert_array_equal(centroids[[0, 4]], before[[0, 4]])
    for k in (1, 2, 3):
        np.testing.assert_allclose(centroids[k], before[2], rtol=3e-3)
    assert len(np.unique(centroids, axis=0)) == 5


@pytest.mark.parametrize("engine", ENGINES)
def test_clusters_that_start_empty_are_refilled(rng, engine, monkeypatch):
    """Most of the points are the same, and so are most of the first centroids."""
    points = np.concatenate([np.ones((300, 3)), 3 * rng.normal(size=(40, 3))]).astype("f4")

    def full():
        return len(np.unique(clustering.kmeans(points, 20, np.random.default_rng(0), engine)))

    assert full() >= 16
    monkeypatch.setattr(clustering, "_split", lambda *arguments: None)
    assert engine == "faiss" or full() <= 12


@pytest.mark.parametrize("engine", ENGINES)
def test_fewer_different_points_than_clusters_leave_some_empty_and_nothing_breaks(engine):
    points = np.repeat(np.eye(3, dtype="f4"), 20, 0)
    with np.errstate(all="raise"):
        labels = clustering.kmeans(points, 8, np.random.default_rng(0), engine)
    assert normalized_mutual_info_score(labels, np.repeat(np.arange(3), 20)) > 0.99


def test_more_clusters_than_points_are_refused():
    with pytest.raises(ValueError, match="at most as many clusters as points, 4. Received.*5"):
        clustering.kmeans(np.eye(4, dtype="f4"), 5, np.random.default_rng(0))


def test_faiss_is_taken_where_it_is_and_missed_by_name(monkeypatch):
    monkeypatch.setattr(clustering.importlib.util, "find_spec", lambda name: object())
    assert clustering.engine() == "faiss" and clustering.engine("keras") == "keras"
    monkeypatch.setattr(clustering.importlib.util, "find_spec", lambda name: None)
    assert clustering.engine() == "keras"
    with pytest.raises(ImportError, match=r"keras_pretext\[deep_cluster\].*kmeans=None"):
        clustering.engine("faiss")


def test_mutual_information_is_scikit_learns(rng):
    for size, own, other in ((200, 5, 7), (50, 2, 30), (1000, 100, 100)):
        a, b = rng.integers(0, own, size), rng.integers(0, other, size)
        mixed = np.where(rng.random(size) < 0.5, a, b)
        for pair in ((a, b), (a, mixed), (a, (a * 3 + 1).astype("int32"))):
            assert clustering.normalized_mutual_information(*pair) == pytest.approx(
                normalized_mutual_info_score(*pair), abs=1e-9)
    one = np.zeros(9, "int32")
    assert clustering.normalized_mutual_information(one, one) == 1
    assert clustering.normalized_mutual_information(one, np.arange(9)) == 0


def test_the_sample_shows_every_cluster_equally_often(rng):
    labels = rng.permutation(np.repeat([0, 2, 3, 7], [700, 2, 90, 208])).astype("int32")
    sample = clustering.uniform_sample(labels, np.random.default_rng(1))
    assert sample.shape == (1000,) and sample.dtype == np.int64
    counts = np.bincount(labels[sample], minlength=8)
    assert counts[[1, 4, 5, 6]].sum() == 0
    assert set(counts[[0, 2, 3, 7]]) <= set(range(247, 252))  # 251 each, cut to 1000
    assert len(np.unique(sample[labels[sample] == 0])) == counts[0]  # the large one: no repeats
    assert set(sample[labels[sample] == 2]) == set(np.flatnonzero(labels == 2))
    first_half = np.bincount(labels[sample[:500]], minlength=8)[[0, 2, 3, 7]]
    assert first_half.min() > 90  # shuffled
    np.testing.assert_array_equal(
        sample, clustering.uniform_sample(labels, np.random.default_rng(1)))
    assert (sample != clustering.uniform_sample(labels, np.random.default_rng(2))).any()
    whole = clustering.uniform_sample(np.zeros(20, "int32"), rng)
    assert len(np.unique(whole)) >= 19  # one giant cluster: every picture once


_BOUNDED = """
import resource, sys
import numpy as np
from keras_pretext.tasks import clustering
folder, engine = sys.argv[1:]
clustering.MEMORY, clustering.ITERATIONS = 4 << 20, 2

def run(count):
    path = folder + "/features.npy"
    features = np.lib.format.open_memmap(path, "w+", "float16", (count, 256))
    rng = np.random.default_rng(0)
    for part in clustering.blocks(count, 256):
        features[part] = rng.random((part.stop - part.start, 256), "float32")
    features = np.load(path, mmap_mode="r")
    points = clustering.whitened(features, 96, folder + "/points.npy")
    return features, clustering.kmeans(points, 16, rng, engine)

run(10000)
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status")
            if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + (40 << 20),) * 2)
features, labels = run(150000)
assert labels.shape == (150000,) and features.nbytes > 70e6
try:
    np.array(features)  # the bound does bind
except MemoryError:
    print("kept")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux' accounting")
@pytest.mark.parametrize("engine", ENGINES)
def test_features_larger_than_the_memory_are_clustered(tmp_path, engine):
    """77 MB of features and 58 MB of points, with 40 MB that may be allocated."""
    script = tmp_path / "script.py"
    script.write_text(_BOUNDED)
    done = subprocess.run([sys.executable, script, tmp_path, engine], text=True, timeout=900,
                          capture_output=True)
    assert done.returncode == 0 and "kept" in done.stdout, done.stderr[-2000:]
