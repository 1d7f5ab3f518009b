"""Entries from one zoo to another: what arrives, and what is refused before it does."""

import functools
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import tarfile
import threading
import zipfile

import pytest

from keras_pretext import cli, zoo
from keras_pretext.zoo import store


@pytest.fixture
def here(entry, tmp_path, monkeypatch):
    """A host with an empty zoo; the entry lies elsewhere, as version 1 and 2."""
    shelf = tmp_path / "elsewhere" / "tiny_rotnet"
    shelf.parent.mkdir()
    entry.parent.rename(shelf)
    other = shelf / "2"
    shutil.copytree(shelf / "1", other)
    card = {**json.loads((other / "card.json").read_text()), "version": 2}
    store.write_json(other / "card.json", card)
    sums = json.loads((other / "sha256.json").read_text())
    store.write_json(other / "sha256.json",
                     {**sums, "card.json": store.sha256(other / "card.json")})
    monkeypatch.setenv("KERAS_PRETEXT_ZOO", str(tmp_path / "here"))
    return tmp_path / "here"


def archive(tmp_path, kind):
    path = tmp_path / f"models{kind}"
    if kind == ".zip":
        shutil.make_archive(str(path)[:-4], "zip", tmp_path / "elsewhere")
    else:
        with tarfile.open(path, "w:gz" if "gz" in kind else "w") as file:
            file.add(tmp_path / "elsewhere", "elsewhere")
    return path


def test_bundle_is_a_zoo_of_its_own(entry, tmp_path, monkeypatch):
    out = zoo.bundle("tiny_rotnet", tmp_path / "bundle")
    shutil.rmtree(entry.parent)
    monkeypatch.setenv("KERAS_PRETEXT_ZOO", str(out))
    assert zoo.info("tiny_rotnet@1")["licence"] == "CC0"
    store.check_sums(out / "tiny_rotnet" / "1")
    assert sorted(os.listdir(out)) == ["tiny_rotnet"]
    assert sorted(os.listdir(out / "tiny_rotnet")) == ["1"]


def test_bundle_of_an_unknown_name_writes_nothing(entry, tmp_path):
    with pytest.raises(ValueError, match="unknown zoo model.*zoo fetch"):
        zoo.bundle(["tiny_rotnet", "other"], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("name", ["models.zip", "models.tar.gz", "models.tgz", "a_file"])
def test_a_bundle_is_no_other_archive(entry, tmp_path, name):
    (tmp_path / "a_file").write_text("x")
    with pytest.raises(store.ZooError, match=f"a folder, or a file .tar. Received: .*{name}"):
        zoo.bundle("tiny_rotnet", tmp_path / name)
    assert not (tmp_path / "models.zip").exists()


def test_a_bundle_may_be_one_file(here, tmp_path):
    out = zoo.bundle(tmp_path / "elsewhere" / "tiny_rotnet" / "2", tmp_path / "some" / "one.tar")
    assert os.listdir(out.parent) == ["one.tar"]
    assert zoo.fetch(out) == ["tiny_rotnet@2"]
    assert zoo.info("tiny_rotnet")["version"] == 2
    with pytest.raises(store.ZooError, match="exists already"):
        zoo.bundle("tiny_rotnet", out)


def test_fetch_from_a_folder(here, tmp_path):
    assert zoo.fetch(tmp_path / "elsewhere") == ["tiny_rotnet@1", "tiny_rotnet@2"]
    assert zoo.info("tiny_rotnet@1")["limits"] == "untrained"
    store.check_sums(here / "tiny_rotnet" / "2")
    assert sorted(os.listdir(here / "tiny_rotnet")) == ["1", "2"]


def test_the_draft_of_a_killed_publish_is_passed_over(here, tmp_path):
    shelf = tmp_path / "elsewhere" / "tiny_rotnet"
    (shelf / ".draftab12").mkdir()
    (shelf / ".draftab12" / "card.json").write_text("{")
    shutil.copytree(shelf / "1", shelf / ".drafta")
    assert zoo.fetch(tmp_path / "elsewhere") == ["tiny_rotnet@1", "tiny_rotnet@2"]


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".tgz", ".zip"])
def test_fetch_from_an_archive_of_some_names(here, tmp_path, kind):
    path = archive(tmp_path, kind)
    assert zoo.fetch(path, "tiny_rotnet@1", sha256=store.sha256(path)) == ["tiny_rotnet@1"]
    assert os.listdir(here / "tiny_rotnet") == ["1"]
    assert zoo.fetch(path, ["tiny_rotnet"]) == ["tiny_rotnet@2"]  # the newest


def test_fetch_from_a_url(here, tmp_path, capsys):
    path = archive(tmp_path, ".tar.gz")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert not cli.main(["zoo", "fetch", "tiny_rotnet@1", "--from", f"{url}/{path.name}",
                             "--sha256", store.sha256(path).upper()])
        assert capsys.readouterr().out == "tiny_rotnet@1\n"
        for where, message in (("missing.tar", "cannot be fetched.*404"), ("", "an archive is")):
            with pytest.raises(store.ZooError, match=message):
                zoo.fetch(f"{url}/{where}")
        server.shutdown()
    with pytest.raises(store.ZooError, match="cannot be fetched"):
        zoo.fetch(f"{url}/{path.name}")
    assert zoo.fetch(path.as_uri()) == ["tiny_rotnet@1", "tiny_rotnet@2"]


def test_what_is_installed_stays_as_it_is(here, tmp_path):
    zoo.fetch(tmp_path / "elsewhere")
    before = (here / "tiny_rotnet" / "1" / "golden.npz").stat().st_mtime_ns
    assert zoo.fetch(tmp_path / "elsewhere", "tiny_rotnet@1") == ["tiny_rotnet@1"]
    assert (here / "tiny_rotnet" / "1" / "golden.npz").stat().st_mtime_ns == before


@pytest.mark.parametrize("file", ["card.json", "golden.npz"])
def test_a_damaged_one_that_is_installed_is_mended(here, tmp_path, file):
    zoo.fetch(tmp_path / "elsewhere")
    whole = (here / "tiny_rotnet" / "1" / file).read_bytes()
    (here / "tiny_rotnet" / "1" / file).write_bytes(whole[:-1])
    (here / "tiny_rotnet" / "2" / "notes.txt").write_text("mine")
    assert zoo.fetch(tmp_path / "elsewhere") == ["tiny_rotnet@1", "tiny_rotnet@2"]
    assert (here / "tiny_rotnet" / "1" / file).read_bytes() == whole
    assert (here / "tiny_rotnet" / "2" / "notes.txt").read_text() == "mine"
    assert sorted(os.listdir(here / "tiny_rotnet")) == ["1", "2"]


def test_what_is_cut_on_its_way_is_not_installed(here, tmp_path, monkeypatch):
    path, copytree = archive(tmp_path, ".tar"), shutil.copytree

    class Cut(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size + 1))
            self.end_headers()
            self.wfile.write(path.read_bytes())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(store.ZooError, match=f"{path.stat().st_size} of .* bytes came"):
            zoo.fetch(f"http://127.0.0.1:{server.server_port}/models.tar")
        server.shutdown()
    with pytest.raises(store.ZooError, match="cannot be fetched"):
        zoo.fetch("http://127.0.0.1:1/my models.tar")

    def cut(source, target, *more, **options):
        copytree(source, target, *more, **options)
        for file in pathlib.Path(target).glob("golden.npz"):
            file.write_bytes(b"")

    monkeypatch.setattr(shutil, "copytree", cut)
    with pytest.raises(store.ZooError, match="golden.npz does not have its SHA-256 sum"):
        zoo.fetch(tmp_path / "elsewhere")
    assert not here.exists() or not [*here.rglob("card.json")]


def test_a_link_to_a_folder_outside_is_refused(here, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "elsewhere" / "tiny_rotnet" / "2" / "more").symlink_to(tmp_path / "outside")
    with pytest.raises(store.ZooError, match="leads out of it.*'more'"):
        zoo.fetch(tmp_path / "elsewhere")
    assert not here.exists()


def test_without_a_place_of_its_own_it_is_the_users(here, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_PRETEXT_ZOO")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    zoo.fetch(tmp_path / "elsewhere")
    assert (tmp_path / "home" / ".keras_pretext" / "zoo" / "tiny_rotnet" / "2").is_dir()
    assert zoo.info("tiny_rotnet")["version"] == 2


def test_a_damaged_entry_leaves_nothing_behind(here, tmp_path):
    entry = tmp_path / "elsewhere" / "tiny_rotnet" / "2"
    weights = entry / store.weights_of(entry)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    for source in (tmp_path / "elsewhere", archive(tmp_path, ".zip")):
        with pytest.raises(store.ZooError, match="weights.npz does not have its SHA-256 sum"):
            zoo.fetch(source)
    assert not here.exists()
    assert zoo.fetch(tmp_path / "elsewhere", "tiny_rotnet@1") == ["tiny_rotnet@1"]  # the whole one


def test_archives_that_are_refused(here, tmp_path):
    path = archive(tmp_path, ".tar.gz")
    with pytest.raises(store.ZooError, match=f"not have this SHA-256 sum.*{store.sha256(path)}"):
        zoo.fetch(path, sha256=hashlib.sha256(b"").hexdigest())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(store.ZooError, match="damaged or not safe"):
        zoo.fetch(path)
    with tarfile.open(tmp_path / "leads_out.tar", "w") as file:
        member = tarfile.TarInfo("../../outside")
        member.size = 1
        file.addfile(member, io.BytesIO(b"x"))
    with zipfile.ZipFile(tmp_path / "leads_out.zip", "w") as file:
        file.writestr("../outside", "x")
    for kind in ("tar", "zip"):
        with pytest.raises(store.ZooError, match="not safe|leads out of it"):
            zoo.fetch(tmp_path / f"leads_out.{kind}")
    assert not here.exists() and not [*tmp_path.rglob("outside")]


def test_bad_sources_and_names(here, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for source, names, message in (
            (tmp_path / "empty", None, "no zoo entry in it"),
            (tmp_path / "nosuch.tar", None, "no such file.*a folder, or an archive.*nosuch.tar"),
            (tmp_path / "elsewhere", "tiny_rotnt", "Did you mean 'tiny_rotnet@[12]'"),
            (tmp_path / "elsewhere", "tiny_rotnet@3", "unknown entry")):
        with pytest.raises(store.ZooError, match=message):
            zoo.fetch(source, names)
    with pytest.raises(store.ZooError, match="an archive with a sum"):
        zoo.fetch(tmp_path / "elsewhere", sha256="0" * 64)
    assert cli.main(["zoo", "fetch"]) == 2
    assert "--from FOLDER" in capsys.readouterr().err
