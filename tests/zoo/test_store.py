"""Names, paths and sums: what is found, and what is refused before it is read."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from keras_pretext import zoo
from keras_pretext.zoo import store


def test_list_and_info_by_name_version_folder_and_file(entry):
    assert "tiny_rotnet" in zoo.list()
    for name in ("tiny_rotnet", "tiny_rotnet@1", entry, entry / store.weights_of(entry),
                 entry.parent):
        assert zoo.info(name)["name"] == "tiny_rotnet"


def test_a_folder_in_the_working_directory_needs_no_slash(entry, monkeypatch):
    entry.rename(entry.parents[2] / "mine")
    monkeypatch.chdir(entry.parents[2])
    assert zoo.info("mine")["name"] == "tiny_rotnet"


def test_the_newest_version_is_the_default_and_ten_is_newer_than_nine(entry):
    for version in (9, 10):
        shutil.copytree(entry, entry.parent / str(version))
    assert store.find("tiny_rotnet").name == "10"
    assert store.find("tiny_rotnet@9").name == "9"
    with pytest.raises(ValueError, match=r"unknown version of tiny_rotnet.*1, 10, 9.*'3'"):
        store.find("tiny_rotnet@3")


def test_versions_of_all_roots_are_found(entry, monkeypatch):
    first, second = entry.parents[1], entry.parents[2] / "second"
    for version in ("1", "2", "3"):
        shutil.copytree(entry, second / "tiny_rotnet" / version)
    shutil.copytree(entry, entry.parent / "3")
    monkeypatch.setattr(store, "roots", lambda: [first, second])
    assert store.find("tiny_rotnet") == first / "tiny_rotnet" / "3"
    assert store.find("tiny_rotnet@1") == entry
    assert store.find("tiny_rotnet@2") == second / "tiny_rotnet" / "2"
    shutil.rmtree(entry.parent / "3")
    assert store.find("tiny_rotnet") == second / "tiny_rotnet" / "3"
    with pytest.raises(ValueError, match=r"version of tiny_rotnet.*Known: 1, 2, 3. .*'4'"):
        store.find("tiny_rotnet@4")


def test_unknown_names_tell_the_nearest(entry):
    with pytest.raises(ValueError, match=r"Did you mean 'tiny_rotnet'\?.*Received: 'tiny_rotne'"):
        zoo.load("tiny_rotne")


@pytest.mark.parametrize("name", [
    "../tiny_rotnet", "tiny_rotnet/../../secret", "/etc", "..", "tiny_rotnet@../1",
    "tiny_rotnet@-1", "Tiny", "", "a..b", "tiny_rotnet@1/../../x"])
def test_names_that_lead_elsewhere_are_refused(entry, name):
    with pytest.raises(store.ZooError, match="(a zoo name is|no zoo entry at this path).*Received"):
        zoo.info(name)


def test_a_run_is_told_from_an_entry(entry, tmp_path, monkeypatch):
    with pytest.raises(store.ZooError, match="nor a finished run .*final/model.keras.*nosuch'"):
        zoo.load(tmp_path / "runs" / "nosuch")
    final = tmp_path / "runs" / "q" / "final"
    final.mkdir(parents=True)
    (final / "model.keras").write_bytes(b"x")
    monkeypatch.chdir(tmp_path / "runs")
    for name in (final.parent, "q"):
        with pytest.raises(store.ZooError, match="publish it first, `keras-pretext publish .*q'"):
            store.find(name)


def test_a_link_out_of_the_zoo_is_refused(entry, tmp_path):
    outside = tmp_path / "outside"
    entry.rename(outside)
    entry.symlink_to(outside)
    with pytest.raises(store.ZooError, match="leads out of the zoo"):
        zoo.load("tiny_rotnet")
    assert zoo.info(outside)["name"] == "tiny_rotnet"


def test_a_file_that_leads_out_of_the_entry_is_refused(entry, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    sums = json.loads((entry / "sha256.json").read_text())
    sums["../../../secret"] = hashlib.sha256(b"x").hexdigest()
    (entry / "sha256.json").write_text(json.dumps(sums))
    with pytest.raises(store.ZooError, match=r"leads out of it. Received: '../../../secret'"):
        zoo.verify(entry)


def test_sums_are_sha256_of_every_file(entry):
    sums = json.loads((entry / "sha256.json").read_text())
    files = {os.path.relpath(os.path.join(at, name), entry)
             for at, _, names in os.walk(entry) for name in names}
    assert set(sums) == files - {"sha256.json"}
    for name, expected in sums.items():
        assert hashlib.sha256((entry / name).read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("name", ["saved_model/assets/weights.npz", "config.json"])
def test_one_changed_bit_is_found_on_load(entry, name):
    content = bytearray((entry / name).read_bytes())
    content[len(content) // 2] ^= 1
    (entry / name).write_bytes(content)
    with pytest.raises(store.ZooError, match=f"{name} does not have its SHA-256 sum"):
        zoo.load("tiny_rotnet")


def test_a_file_cut_short_is_found_on_load(entry):
    with open(entry / store.weights_of(entry), "rb+") as file:
        file.truncate(1000)
    with pytest.raises(store.ZooError, match=r"weights.npz does not have.*cut short"):
        zoo.load("tiny_rotnet")


def test_a_changed_card_is_found_by_info(entry):
    text = (entry / "card.json").read_text()
    (entry / "card.json").write_text(text.replace('"CC0"', '"none"'))
    with pytest.raises(store.ZooError, match="card.json does not have its SHA-256 sum"):
        zoo.info("tiny_rotnet")


def test_a_changed_saved_model_is_found_by_verify(entry):
    with open(entry / "saved_model" / "saved_model.pb", "ab") as file:
        file.write(b"\0")
    with pytest.raises(store.ZooError, match="saved_model/saved_model.pb does not have its"):
        zoo.verify("tiny_rotnet")


def test_a_missing_file_is_named(entry):
    (entry / "golden.npz").unlink()
    with pytest.raises(store.ZooError, match="golden.npz is missing"):
        zoo.load("tiny_rotnet")


def test_a_file_without_a_sum_is_refused(entry):
    (entry / "saved_model" / "extra.pb").write_bytes(b"x")
    with pytest.raises(store.ZooError, match="extra.pb has no SHA-256 sum"):
        zoo.verify("tiny_rotnet")


@pytest.mark.parametrize("name", ["model.keras", "weights.h5", "table.pkl"])
def test_files_that_can_hold_code_are_refused(entry, name):
    (entry / name).write_bytes(b"x")
    with pytest.raises(store.ZooError, match="holds no Keras, HDF5 or pickle file"):
        zoo.load("tiny_rotnet")


def test_a_draft_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="disk full"):
        with store.Draft(tmp_path / "shelf" / "1") as draft:
            (draft / "half").write_text("x")
            raise OSError("disk full")
    assert not (tmp_path / "shelf").exists()


def test_list_and_info_load_neither_keras_nor_tensorflow(entry):
    code = ("import sys; from keras_pretext import zoo; zoo.list(); zoo.info('tiny_rotnet');"
            "print({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
