"""Whole minings: known pairs, restarts, other recipes, several processes, real clips."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("apache_beam")
pytest.importorskip("av")
pytest.importorskip("cv2")
pytest.importorskip("faiss")
parquet = pytest.importorskip("pyarrow.parquet")

import keras  # noqa: E402
from moving_squares import moving, write_video  # noqa: E402

from keras_pretext import backbones, data, mining, tasks  # noqa: E402
from keras_pretext.cli import main  # noqa: E402
from keras_pretext.mining import shards  # noqa: E402
from keras_pretext.mining.node_features import NodeFeatures  # noqa: E402

KINDS, COPIES = 3, 6
RECIPE = mining.MiningRecipe(
    frame_size=160, window=64, patch_size=48, tracker_window=64, track_length=8, stride=8,
    least_moving=0.02, most_moving=0.9, videos_per_shard=5, model="hog", clusters=KINDS,
    least_members=4, neighbours=5, patch_quality=100)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three objects, each in six videos with other grounds, starts and ways; 0 to 5 the first."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(3)
    for kind in range(KINDS):
        for copy in range(COPIES):
            start = rng.integers([20, 30], [60, 60])
            step = rng.choice([-1, 1]), rng.choice([-1, 1])
            step = (4 * step[0] if start[0] > 40 else 4, step[1])
            write_video(folder / f"{kind}{copy}.mkv",
                        moving(100 + kind, start, step, 10, ground=10 * kind + copy,
                               cell=[(32, 8), (8, 32), (14, 14)][kind]))
    return folder


def mine(videos, out, recipe=RECIPE, **options):
    return mining.mine(videos, out, recipe, progress=False, **options)


@pytest.fixture(scope="module")
def mined(videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("mined")
    return out, mine(videos, out)


def table(out, name):
    found = parquet.read_table(pathlib.Path(out) / f"{name}.parquet")
    return {column: np.asarray(found[column].to_pylist()) for column in found.column_names}


def test_every_true_pair_is_found_and_no_other(mined):
    out, counts = mined
    nodes, pairs, videos = (table(out, name) for name in ("nodes", "pairs", "videos"))
    assert counts["tracks"] == 18 and (nodes["node"] == np.arange(36)).all()
    assert set(videos["status"]) == {"ok"} and (videos["tracks"] == 1).all()
    np.testing.assert_array_equal(videos["frames"], 10)
    np.testing.assert_allclose(videos["fps"], 30, rtol=0.01)
    kind_of = nodes["video"] // COPIES
    ends = np.stack([pairs["a"], pairs["b"]], 1)
    intra = ends[pairs["kind"] == "intra"]
    # known truth: the square of a video, in its first and its eighth frame
    assert {tuple(e) for e in intra} == {(2 * t, 2 * t + 1) for t in range(18)}  # recall 1
    assert (nodes["video"][intra[:, 0]] == nodes["video"][intra[:, 1]]).all()  # precision 1
    np.testing.assert_array_equal(nodes["frame"][intra], [[0, 7]] * 18)
    np.testing.assert_array_equal(nodes["end"], np.arange(36) % 2)
    inter = ends[pairs["kind"] == "inter"]
    assert len(inter) == KINDS * COPIES * (COPIES - 1) / 2  # all six are near each other
    assert (kind_of[inter[:, 0]] == kind_of[inter[:, 1]]).all() and (inter % 2 == 0).all()
    assert set(map(tuple, ends[pairs["kind"] == "transitive"])) == {
        (a + i, b + j) for a, b in inter for i, j in ((0, 1), (1, 0), (1, 1))}
    assert (pairs["parent"] == nodes["parent"][pairs["a"]]).all()
    assert len(set(map(tuple, np.c_[ends, pairs["kind"] == "inter"]))) == len(ends)


def test_the_patches_of_a_node_are_where_its_row_says(mined, videos):
    out, _ = mined
    nodes, source = table(out, "nodes"), data.open(f"tfrecord:{out}/patches")
    images = source.arrays()[0]
    assert images.shape == (36, 48, 48, 3)
    from keras_pretext.mining import video

    paths = table(out, "videos")["path"]
    for node in (0, 1, 17, 35):
        frames = [f for f, _, _ in video.frames(paths[nodes["video"][node]], 160)]
        left, top = round(nodes["left"][node]), round(nodes["top"][node])
        crop = frames[nodes["frame"][node]][top:top + 64, left:left + 64]
        small = crop.reshape(16, 4, 16, 4, 3).mean((1, 3))
        there = images[node].reshape(16, 3, 16, 3, 3).mean((1, 3))
        assert np.abs(small - there).mean() < 12, node


def test_features_and_clusters_are_of_the_first_patches(mined):
    out, nodes = mined[0], table(mined[0], "nodes")
    run, means = NodeFeatures(RECIPE), np.load(out / "work" / "parents" / "means.npy")
    for shard in range(4):
        features = np.load(out / "work" / "features" / f"{shard:05d}.npy")
        patches = shards.read_patches(out, shard)
        np.testing.assert_array_equal(features, run(patches[::2]))
        np.testing.assert_allclose(np.linalg.norm(features.astype(float), axis=1), 1, atol=1e-3)
        first = 10 * shard + np.arange(0, len(patches), 2)
        np.testing.assert_array_equal((features @ means.T.astype("float32")).argmax(1),
                                      nodes["parent"][first])
        assert (nodes["parent"][first] == nodes["parent"][first + 1]).all()


def test_pairs_and_masks_are_data(mined):
    out, counts = mined
    pairs = data.open(f"pairs:{out}", "transitive")
    assert pairs.num_examples == counts["transitive"] and pairs.uniform_shape == (48, 48, 6)
    masks = data.open(f"tfrecord:{out}/masks")
    assert masks.num_examples == counts["looked"] and masks.dense == ("mask",)


def test_the_report_shows_what_was_found(mined):
    out, counts = mined
    page = (out / "report.html").read_text()
    assert f"{counts['transitive']:,}" in page and page.count("data:image/jpeg") > 30
    assert json.loads((out / "mining.json").read_text())["counts"] == counts


def files(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(pathlib.Path(out).rglob("*"))
            if p.is_file()}


def test_another_recipe_makes_only_what_depends_on_it_anew(mined, videos, tmp_path, monkeypatch):
    out = shutil.copytree(mined[0], tmp_path / "out")
    before = files(out)
    monkeypatch.setattr(shards, "mine_shard", lambda *a: pytest.fail("mined again"))
    monkeypatch.setattr(NodeFeatures, "__call__", lambda *a: pytest.fail("features again"))
    assert mine(videos, out) == mined[1] and files(out) == before
    counts = mine(videos, out, RECIPE.replace(transitive_pairs=10, intra_pairs=4))
    assert (counts["transitive"], counts["intra"], counts["inter"]) == (10, 4, 45)
    assert len(table(out, "pairs")["a"]) == 59
    assert mine(videos, out, RECIPE.replace(neighbours=3))["inter"] < 45
    assert mine(videos, out, RECIPE.replace(clusters=1, neighbours=17))["parents"] == 1
    assert mine(videos, out) == mined[1] and files(out) == before
    with pytest.raises(ValueError, match="other videos or in another way.* other stride"):
        mine(videos, out, RECIPE.replace(stride=4))
    with pytest.raises(ValueError, match="other videos"):
        mine(videos / "00.mkv", out)
    assert files(out) == before


def test_killed_it_goes_on_and_ends_the_same(mined, videos, tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        "import sys, time\n"
        "from keras_pretext import mining\n"
        "from keras_pretext.mining import shards\n"
        "done, whole = [], shards.mine_shard\n"
        "def slow(out, shard, *rest):\n"
        "    if done:\n        time.sleep(60)\n"
        "    done.append(shard)\n"
        "    whole(out, shard, *rest)\n"
        "shards.mine_shard = slow\n"
        f"recipe = mining.MiningRecipe(**{RECIPE.to_dict()!r})\n"
        f"mining.mine({str(videos)!r}, sys.argv[1], recipe, progress=False)\n")
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, script, out])
    tracks, end = out / "work" / "tracks", time.time() + 600
    while not (tracks.is_dir() and any(tracks.glob("0*.npz"))):
        assert process.poll() is None and time.time() < end
        time.sleep(0.1)
    time.sleep(1)  # in the midst of the second shard
    process.send_signal(signal.SIGKILL)
    process.wait()
    [first] = tracks.glob("0*.npz")
    stamp = first.stat().st_mtime_ns
    assert mine(videos, out) == mined[1]
    assert first.stat().st_mtime_ns == stamp
    assert {k: v for k, v in files(out).items() if ".part" not in k} == files(mined[0])


def test_ctrl_c_is_one_line(videos, tmp_path, monkeypatch, capsys, caplog):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "mine_shard", interrupted)
    assert main(["mine", str(videos), "--out", str(tmp_path / "out"), "--set", "model=hog"]) == 130
    assert capsys.readouterr().err.endswith(
        "\nkeras-pretext: stopped; the same command resumes\n")
    assert "KeyboardInterrupt" not in caplog.text  # Beam's traceback


def test_other_contents_under_the_same_names_are_noticed(videos, tmp_path):
    """Other weights make features anew; other videos are refused."""
    folder, model, out = shutil.copytree(videos, tmp_path / "videos"), tmp_path / "m.keras", "out"
    recipe = RECIPE.replace(model=str(model), tap="conv1", clusters=1)

    def features(seed):
        keras.utils.set_random_seed(seed)
        backbone = backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=48)
        tasks.get("rotation", image_size=48).attach(backbone).save(model)
        mine(folder, tmp_path / out, recipe)
        return np.load(tmp_path / out / "work" / "features" / "00000.npy")

    first, other = features(0), features(1)
    plan = tmp_path / out / "work" / "plan.json"
    kept = json.loads(plan.read_text())
    del kept["tracks"]["contents"], kept["features"]["weights"]  # as a former version wrote it
    plan.write_text(json.dumps(kept))
    written = (tmp_path / out / "work" / "features" / "00000.npy").stat().st_mtime_ns
    features(1)
    assert (tmp_path / out / "work" / "features" / "00000.npy").stat().st_mtime_ns == written
    assert np.abs(first - other).max() > 1e-2
    np.testing.assert_array_equal(features(0), first)
    shutil.copy(folder / "01.mkv", folder / "00.mkv")
    with pytest.raises(ValueError, match="other videos or in another way.* other contents"):
        mine(folder, tmp_path / out, recipe)


@pytest.mark.slow
def test_several_processes_find_the_same(mined, videos, tmp_path):
    out = shutil.copytree(mined[0], tmp_path / "out")
    for path in (*out.glob("work/tracks/*"), *out.glob("work/groups/*"), *out.glob("patches/*")):
        path.unlink()  # two stages of four: each costs two processes that load TensorFlow
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert mine(videos, out, options=options) == mined[1]
    assert files(out) == files(mined[0])


def test_one_bad_video_is_counted_and_told(videos, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for path in sorted(videos.glob("0*")):
        (folder / path.name).symlink_to(path)
    (folder / "00.mkv").unlink()
    shutil.copy(videos / "00.mkv", os.fsencode(folder) + b"/00 \xe9.mkv")  # a name that is no UTF-8
    (folder / "bad.mp4").write_bytes(b"no video")
    write_video(folder / "still.mkv", moving(1, (40, 40), (0, 0), 12))
    counts = mine(folder, tmp_path / "out", RECIPE.replace(clusters=1))
    assert (counts["videos"], counts["videos_without"], counts["tracks"]) == (8, 2, 6)
    rows = table(tmp_path / "out", "videos")
    why = {pathlib.Path(p).name: s for p, s in zip(rows["path"], rows["status"], strict=True)}
    assert why["00 \\xe9.mkv"] == "ok"
    assert why["still.mkv"] == "too little moves in it" and "nvalid" in why["bad.mp4"]
    assert rows["width"][[p.endswith("bad.mp4") for p in rows["path"]]] == [-1]


@pytest.mark.parametrize("change, message", [
    ({"clusters": 19}, "19 clusters need at least as many tracks.*18 tracks"),
    ({"least_members": 7}, "the largest of 3 clusters has 6 tracks.*lower least_members"),
    ({"model": "rotnet_ni"}, "Did you mean 'rotnet_nin'"),
    ({"model": "rotnet_nin", "tap": "blok2"}, "Did you mean 'block2'"),
])
def test_what_cannot_be_says_what_to_change(mined, videos, tmp_path, change, message):
    out = shutil.copytree(mined[0], tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        mine(videos, out, RECIPE.replace(**change))
    assert mine(videos, out) == mined[1]


def test_an_unknown_model_is_told_before_anything_is_mined(videos, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'rotnet_nin'"):
        mine(videos, tmp_path / "out", RECIPE.replace(model="rotnet_ni"))
    assert not (tmp_path / "out").exists()


def test_nothing_that_moves_is_one_error(tmp_path):
    write_video(tmp_path / "still.mkv", moving(1, (40, 40), (0, 0), 12))
    with pytest.raises(ValueError, match="no video gives a track.*little_motion 2"):
        mine(tmp_path, tmp_path / "out")


def test_two_real_clips_from_the_command_line(real_data, tmp_path, capsys):
    clips = [str(real_data / "video" / name) for name in ("bird.mkv", "help.mkv")]
    assert main(["mine", *clips, "--out", str(tmp_path / "out"), "--preset", "small", "--set",
                 "videos_per_shard=1", "--set", "least_members=3", "--set",
                 "nodes_per_cluster=10"]) == 0
    told = capsys.readouterr().out
    nodes, pairs = table(tmp_path / "out", "nodes"), table(tmp_path / "out", "pairs")
    assert f"{len(nodes['node']) // 2} tracks of 2 videos" in told
    assert {"intra", "transitive"} <= set(pairs["kind"]) and set(nodes["video"]) == {0, 1}
    # a track's two patches look more alike than patches of two tracks
    images = data.open(f"tfrecord:{tmp_path}/out/patches").arrays()[0].astype(float)
    small = images.reshape(len(images), 12, 8, 12, 8, 3).mean((2, 4)).reshape(len(images), -1)
    small -= small.mean(1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    own = (small[::2] * small[1::2]).sum(1)
    others = small[::2] @ small[1::2].T
    assert own.mean() > others[~np.eye(len(own), dtype=bool)].mean() + 0.2
