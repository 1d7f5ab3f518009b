"""What `pip install` brings: the zoo's entries load from it, offline, in any folder."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from keras_pretext import zoo
from keras_pretext.zoo import store

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SMALL = 11_000_000  # bytes: what a wheel holds; larger entries are fetched
_OFFLINE = """
import socket
def refuse(*args, **kwargs): raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = refuse
import sys
import numpy as np
import keras_pretext
from keras_pretext import zoo
print(keras_pretext.__file__)
print(*zoo.list())
print(*zoo.fetch(sys.argv[1]))
for name in zoo.list():
    features = zoo.load(name, pooling="avg")(np.zeros((1, 128, 128, 3), "uint8"))
    print(name, *features)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel's content, and the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=shutil.ignore_patterns(
        ".git", ".venv", "runs", "build", "tests", "*.egg-info", "__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps",
                    "--no-build-isolation", "-w", folder, folder / "tree"], check=True,
                   capture_output=True)
    wheel, = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site", wheel


def size_of(name):
    return sum(path.stat().st_size for path in store.find(name).rglob("*") if path.is_file())


def test_every_published_model_loads_from_an_installed_wheel_offline(installed, tmp_path):
    """The small ones are in it; the others are fetched from a folder, as from any source."""
    site, wheel = installed
    assert wheel.stat().st_size < 100e6
    environment = {**os.environ, "PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3",
                   "KERAS_PRETEXT_ZOO": str(tmp_path / "fetched"), "HOME": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", _OFFLINE, os.path.join(ROOT, "zoo")], cwd=tmp_path,
                         env=environment, check=True, capture_output=True,
                         text=True).stdout.splitlines()
    assert out[0].startswith(str(site))
    assert out[1].split() == [name for name in zoo.list() if size_of(name) < SMALL] != []
    assert {name.partition("@")[0] for name in out[2].split()} == set(zoo.list())
    assert [line.split()[0] for line in out[3:]] == zoo.list()
    assert "rotnet_nin block1 block2 block3 block4" in out


def test_an_entry_is_in_the_wheel_once_and_whole(installed):
    inside = [name.removeprefix("keras_pretext/zoo/entries/")
              for name in zipfile.ZipFile(installed[1]).namelist() if "/zoo/entries/" in name]
    for name in {path.split("/")[0] for path in inside}:
        folder = store.find(name)
        assert sorted(path for path in inside if path.startswith(f"{name}/")) == sorted(
            f"{name}/{folder.name}/{file}" for file in (*store.files_of(folder), "sha256.json"))


def test_the_wheel_holds_neither_tests_nor_recipes(installed):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(installed[1]).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"keras_pretext"}


def test_the_wheel_holds_the_papers_tables(installed):
    names = zipfile.ZipFile(installed[1]).namelist()
    assert "keras_pretext/evaluation/reference_tables.json" in names
