"""Extraction to Parquet: what rows hold, what is redone after a kill, what cannot be decoded."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_pretext import data
from keras_pretext.data import scenes
from keras_pretext.serving import extract, extraction

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def entry(models):
    return str(models[1][1])


@pytest.fixture
def folder(tmp_path):
    """25 scenes as PNG in two classes."""
    from PIL import Image

    images, labels = scenes.load("test", size=32, count=25)
    for k, image in enumerate(images):
        path = tmp_path / "pictures" / "ab"[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path / "pictures"


def write(entry, where, out, **options):
    return extract(entry, where, out, progress=False, **{"batch_size": 4, "shard_size": 10,
                                                        **options})


def test_rows_are_the_features_of_their_pictures(entry, folder, tmp_path, models):
    out = tmp_path / "out"
    plan = write(entry, f"folder:{folder}", out, taps=["block1", "block2"])
    assert (plan["rows"], plan["failed"], plan["shards"]) == (25, 0, 3)
    assert sorted(p.name for p in out.iterdir()) == ["extract.json"] + [
        f"features-{k:05d}-of-00003.parquet" for k in range(3)]
    found = extraction.read(out, "block1")
    source = data.open(f"folder:{folder}")
    assert found["ids"] == [f"{'ab'[k % 2]}/{k:02d}.png" for k in (*range(0, 25, 2),
                                                                   *range(1, 25, 2))]
    np.testing.assert_array_equal(found["index"], range(25))
    backbone = models[1][0].backbone
    maps = backbone(source.arrays()[0], training=False)["block1"]
    np.testing.assert_allclose(found["vectors"], np.mean(maps, (1, 2)), rtol=2e-3, atol=2e-3)
    assert found["vectors"].dtype == np.float16
    assert extraction.read(out)["vectors"].shape[1] == backbone.taps["block2"].channels
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(out / extraction.shard_name(1, plan))
    assert table["index"].to_pylist() == [*range(10, 20)]
    np.testing.assert_array_equal(table["label"].to_numpy(), source.labels()[10:20])


def test_maps_keep_their_shape(entry, folder, tmp_path):
    write(entry, folder, tmp_path / "out", pooling="adaptive")
    backbone_maps = extraction.read(tmp_path / "out")["vectors"]
    assert backbone_maps.shape[0] == 25 and backbone_maps.ndim == 4


def test_what_is_there_is_not_computed_again(entry, folder, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    plan = write(entry, folder, whole)
    write(entry, folder, out)
    names = [extraction.shard_name(k, plan) for k in range(3)]
    (out / names[1]).unlink()
    before = {name: (out / name).stat().st_mtime_ns for name in names if name != names[1]}
    assert write(entry, folder, out)["rows"] == 25
    assert before == {name: (out / name).stat().st_mtime_ns for name in before}
    one, other = extraction.read(out), extraction.read(whole)
    assert one["ids"] == other["ids"]
    np.testing.assert_array_equal(one["vectors"], other["vectors"])


def test_a_killed_extraction_goes_on(entry, tmp_path):
    out = tmp_path / "out"
    where = tmp_path / "scenes.npz"
    np.savez(where, images=np.tile(scenes.load("test", size=32, count=100)[0], (40, 1, 1, 1)))
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_pretext.cli", "extract", entry, "--data", where, "--out", out,
         "--shard-size", "50", "--batch-size", "10"], env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob("features-0000[2-9]*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = {p: p.stat().st_mtime_ns for p in out.glob("features-*")}
    assert 3 <= len(done) < 80
    with pytest.raises(ValueError, match="finished extraction"):
        extraction.read(out)
    plan = extract(entry, where, out, batch_size=10, shard_size=50, progress=False)
    assert plan["rows"] == 4000 and len(list(out.glob("features-*"))) == 80
    assert all(p.stat().st_mtime_ns == t for p, t in done.items())
    found = extraction.read(out)
    np.testing.assert_array_equal(found["index"], np.arange(4000))
    vectors = found["vectors"].reshape(40, 100, -1)
    assert (vectors == vectors[0]).all()  # every repetition of a picture, whoever computed it


def test_pictures_that_cannot_be_decoded_are_listed(entry, folder, tmp_path):
    names = sorted(p.relative_to(tmp_path) for p in folder.rglob("*.png"))
    content = (tmp_path / names[3]).read_bytes()
    (tmp_path / names[3]).write_bytes(content[:len(content) // 2])
    (tmp_path / names[12]).write_text("no picture")
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([*map(str, names), "missing.jpg"]) + "\n")
    plan = write(entry, f"paths:{listed}", tmp_path / "out")
    assert (plan["rows"], plan["failed"]) == (23, 3)
    with open(tmp_path / "out" / "failed.csv", newline="") as file:
        rows = [*csv.reader(file)]
    assert [row[0] for row in rows] == ["id", str(names[3]), str(names[12]), "missing.jpg"]
    assert all("cannot be read" in row[1] for row in rows[1:])
    found = extraction.read(tmp_path / "out")
    assert found["ids"] == [str(n) for k, n in enumerate(names) if k not in (3, 12)]
    write(entry, folder_of(names, tmp_path), tmp_path / "other", shard_size=100)
    other = extraction.read(tmp_path / "other")  # the same pictures without the broken ones
    np.testing.assert_array_equal(found["vectors"], other["vectors"])


@pytest.mark.parametrize("sizes", [[32], [32, 40]])
def test_a_damaged_picture_of_any_size_costs_no_other(entry, tmp_path, sizes):
    """Its header and its end are whole: it shows when it is decoded. Names need not be UTF-8."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(8):
        Image.new("RGB", (sizes[k % len(sizes)],) * 2, (k, 9, 9)).save(folder / f"{k}.jpg")
    content = bytearray((folder / "3.jpg").read_bytes())
    content[content.index(b"\xff\xc4") + 5] = 255  # more codes of one bit than there are
    (folder / "3.jpg").write_bytes(content)
    os.rename(folder / "4.jpg", os.fsencode(folder) + b"/4 \xe9.jpg")
    plan = write(entry, folder, tmp_path / "out")
    assert (plan["rows"], plan["failed"]) == (7, 1)
    assert (tmp_path / "out" / "failed.csv").read_text().splitlines()[1].startswith("3.jpg,")
    found = extraction.read(tmp_path / "out")
    assert found["ids"] == ["0.jpg", "1.jpg", "2.jpg", "4 \\xe9.jpg", "5.jpg", "6.jpg", "7.jpg"]


def test_pictures_that_the_folder_leaves_out_are_listed(entry, tmp_path, capsys):
    from PIL import Image

    from keras_pretext import cli

    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    for k in range(100):
        Image.new("RGB", (8, 8), (k, k, k)).save(folder / f"{k:02d}.png")
    content = (folder / "07.png").read_bytes()
    (folder / "07.png").write_bytes(content[:len(content) // 2])
    assert not cli.main(["extract", entry, "--data", f"folder:{folder}", "--out", str(out),
                         "--image-size", "16"])
    captured = capsys.readouterr()
    assert captured.out == f"{out}: 99 rows of block2 in 1 files\n"
    assert captured.err.endswith(f"\n1 pictures are left out, see {out}/failed.csv\n")
    plan = json.loads((out / "extract.json").read_text())
    assert (plan["rows"], plan["failed"], plan["pictures"]) == (99, 1, 99)
    with open(out / "failed.csv", newline="") as file:
        head, row = csv.reader(file)
    assert head == ["id", "reason"] and row[0] == "07.png" and row[1]


@pytest.mark.parametrize("fails, rows, reason", [
    (1, 25, None), (2, 24, "remove features-00001-of-00003.parquet and extract again"),
    (9, 24, "cannot be read")])
def test_a_picture_that_fails_is_tried_once_more(entry, folder, tmp_path, monkeypatch, fails, rows,
                                                 reason):
    from keras_pretext.data.path_list import PathList

    listed, out = tmp_path / "list.txt", tmp_path / "out"
    names = sorted(str(p.relative_to(tmp_path)) for p in folder.rglob("*.png"))
    listed.write_text("\n".join(names) + "\n")
    write(entry, f"paths:{listed}", tmp_path / "whole")
    read, left = PathList._read, [fails]

    def failing(path):
        if os.fsdecode(path.item() if isinstance(path, np.ndarray) else path).endswith(names[12]):
            left[0] -= 1
            if left[0] >= 0:
                raise data.DataError("a picture cannot be read (network)")
        return read(path)

    monkeypatch.setattr(PathList, "_read", staticmethod(failing))
    plan = write(entry, f"paths:{listed}", out)
    assert (plan["rows"], plan["failed"]) == (rows, 25 - rows)
    found, whole = extraction.read(out), extraction.read(tmp_path / "whole")
    kept = [k for k in range(25) if rows == 25 or k != 12]
    np.testing.assert_array_equal(found["index"], kept)
    np.testing.assert_array_equal(found["vectors"], whole["vectors"][kept])
    assert (out / "failed.csv").exists() == (reason is not None)
    if reason is None:
        return
    assert reason in (out / "failed.csv").read_text()
    left[0] = 0
    (out / extraction.shard_name(1, plan)).unlink()
    assert write(entry, f"paths:{listed}", out)["rows"] == 25
    assert not (out / "failed.csv").exists()


def folder_of(names, tmp_path):
    for k in (3, 12):
        (tmp_path / names[k]).unlink()
    return tmp_path / "pictures"


def test_processes_share_the_shards(entry, folder, tmp_path):
    write(entry, folder, tmp_path / "two", processes=2)
    write(entry, folder, tmp_path / "one")
    np.testing.assert_array_equal(extraction.read(tmp_path / "two")["vectors"],
                                  extraction.read(tmp_path / "one")["vectors"])


def test_another_extraction_in_the_folder_is_refused(entry, folder, tmp_path, models):
    out = tmp_path / "out"
    write(entry, folder, out)
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    with pytest.raises(ValueError, match="shard_size 10 and now 7"):
        write(entry, folder, out, shard_size=7)
    with pytest.raises(ValueError, match="another extraction.*weights"):
        write(str(models[2][1]), folder, out)
    next(folder.rglob("*.png")).unlink()
    with pytest.raises(ValueError, match="fingerprint"):
        write(entry, folder, out)
    assert before == {p: p.stat().st_mtime_ns for p in out.iterdir()}


def test_bad_arguments(entry, folder, tmp_path):
    for options, message in (({"taps": ["blok1"]}, "block1"), ({"pooling": "averge"}, "avg"),
                             ({"shard_size": 0}, "shard_size=0")):
        with pytest.raises(ValueError, match=message):
            write(entry, folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    text = tmp_path / "list.txt"
    text.write_text("missing.png\n")
    with pytest.raises(ValueError, match="none of the 1 pictures can be decoded.*No such file"):
        write(entry, f"paths:{text}", tmp_path / "none", image_size=32)
    for content, message in (("", "no paths"), ("a.png\nb.png\na.png\n", "'a.png' several times")):
        text.write_text(content)
        with pytest.raises(data.DataError, match=message):
            data.open(f"paths:{text}")
    with pytest.raises(data.DataError, match="a text file"):
        data.open(f"paths:{tmp_path / 'other.txt'}")
    with pytest.raises(ValueError, match="finished extraction"):
        extraction.read(tmp_path)
    with pytest.raises(ValueError, match="is a folder, and this is a file. Received: .*list.txt"):
        write("nosuch", folder, text)


def test_beam_writes_the_same(entry, folder, tmp_path):
    pytest.importorskip("apache_beam", reason="apache-beam is not installed")
    write(entry, folder, tmp_path / "beam", beam=["--runner=DirectRunner"])
    write(entry, folder, tmp_path / "one")
    np.testing.assert_array_equal(extraction.read(tmp_path / "beam")["vectors"],
                                  extraction.read(tmp_path / "one")["vectors"])


class TestSearch:
    @pytest.fixture
    def index(self, entry, folder, tmp_path):
        pytest.importorskip("faiss", reason="faiss is not installed")
        from keras_pretext.serving import Index

        write(entry, folder, tmp_path / "out", taps=["block1", "block2"])
        return Index(tmp_path / "out", "block1")

    def test_nearest_are_those_of_the_largest_cosine(self, index, tmp_path):
        vectors = extraction.read(tmp_path / "out", "block1")["vectors"].astype("float64")
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        expected = unit[7] @ unit.T
        rows, cosines = index.search(vectors[7:8], 5)
        np.testing.assert_array_equal(rows[0], np.argsort(-expected)[:5])
        np.testing.assert_allclose(cosines[0], np.sort(expected)[::-1][:5], atol=1e-5)

    def test_a_picture_finds_itself(self, index, folder):
        from keras_pretext.serving import neighbours

        image = data.open(f"folder:{folder}").arrays()[0][11]
        rows, cosines = index.nearest(image, 3)
        assert rows[0] == 11 and cosines[0] == pytest.approx(1, abs=1e-3)
        (row,) = neighbours(index, image, 3)
        assert [title for title, _ in row][:2] == ["query", f"{index.ids[11]}: 1.00"]
        np.testing.assert_array_equal(row[1][1], image)

    def test_other_data_than_was_extracted_is_refused(self, index, folder):
        from keras_pretext.serving import neighbours

        image = data.open(f"folder:{folder}").arrays()[0][11]
        next(folder.rglob("*.png")).unlink()
        with pytest.raises(ValueError, match="data has changed.*extract again. Received: .*pict"):
            neighbours(index, image, 3)

    def test_bad_queries(self, index, entry, tmp_path, models):
        for vectors, message in ((np.zeros((1, 96)), "not all zero"), (np.ones((1, 5)), "96"),
                                 (np.full((1, 96), np.nan), "finite")):
            with pytest.raises(ValueError, match=message):
                index.search(vectors)
        with pytest.raises(ValueError, match="count is 1 to 25, .*Received: count=26"):
            index.search(np.ones((1, 96)), 26)
        plan = json.loads((tmp_path / "out" / "extract.json").read_text())
        index.plan["weights"] = plan["weights"][::-1]
        with pytest.raises(ValueError, match="other weights"):
            index.nearest(np.zeros((32, 32, 3), np.uint8))


def test_from_the_command_line(entry, folder, tmp_path, capsys):
    from keras_pretext import cli

    out = tmp_path / "out"
    assert not cli.main(["extract", entry, "--data", str(folder), "--out", str(out)])
    assert "25 rows of block2 in 1 files" in capsys.readouterr().out
    pytest.importorskip("faiss", reason="faiss is not installed")
    assert not cli.main(["neighbours", str(next(pathlib.Path(folder).rglob("*.png"))), "--index",
                         str(out), "--out", str(tmp_path / "found.png")])
    assert (tmp_path / "found.png").stat().st_size > 1000
