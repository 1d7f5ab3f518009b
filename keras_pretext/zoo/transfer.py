"""Entries from one zoo to another: `bundle` writes them, `fetch` installs them."""

import contextlib
import http.client
import os
import pathlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile

from keras_pretext.registry import unknown_name
from keras_pretext.zoo import store
from keras_pretext.zoo.store import ZooError

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_BLOCK = 1 << 20


def bundle(names, out):
    """Copies entries, their sums checked, to a folder that is a zoo of its own, or to an archive.

    $KERAS_PRETEXT_ZOO is set to that folder where the entries are used; of an archive `fetch`
    installs them.

    Args:
        names: a name or a list of names, as for `load`.
        out: the folder; entries that it has already stay as they are. Or a file that does not
            exist, `.tar`.

    Returns:
        `out` as a pathlib.Path.

    Raises:
        ValueError: an unknown or damaged entry, a file that exists, or an archive of another kind.
    """
    out = pathlib.Path(out)
    if out.suffix != ".tar" and (out.name.endswith(_ARCHIVES) or out.is_file()):
        raise ZooError(f"a bundle is a folder, or a file .tar. Received: {str(out)!r}")
    names = [names] if isinstance(names, str | os.PathLike) else [*names]
    folders = [store.find(name) for name in names]  # all are there before anything is written
    for folder in folders:
        store.check_sums(folder)
    if out.suffix != ".tar":
        for folder in folders:
            _install(folder, out)
        return out
    if out.exists():
        raise ZooError(f"this file exists already. Received: {str(out)!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft", dir=out.parent) as draft:
        draft = pathlib.Path(draft)
        with tarfile.open(draft / "zoo.tar", "w") as file:
            for folder in folders:
                file.add(folder, _place(folder).as_posix())
        os.replace(draft / "zoo.tar", out)
    return out


def fetch(source, names=None, root=None, sha256=None):
    """Installs published models from a folder, an archive or a URL.

    Every file of an entry is compared with its SHA-256 sum before the entry takes its place, and an
    archive with `sha256` before it is opened. Entries that are installed already stay as they are,
    but for damaged ones.

    Args:
        source: a zoo's folder, an entry's folder, or an archive of either (`.tar`, `.tar.gz`,
            `.tgz`, `.zip`), as a path or as an `http://`, `https://` or `file://` URL.
        names: which, as "rotnet_nin" or "rotnet_nin@1"; by default all that are in it.
        root: where to; by default $KERAS_PRETEXT_ZOO, or else ~/.keras_pretext/zoo.
        sha256: of the archive, 64 hexadecimal digits.

    Returns:
        a list of "name@version", those that were asked for.

    Raises:
        ValueError: no such source, another sum, a damaged archive or entry, one that leads out of
            its folder, or a name that it lacks. Nothing is installed then.
    """
    root = pathlib.Path(root or os.environ.get("KERAS_PRETEXT_ZOO") or store.own_root())
    with tempfile.TemporaryDirectory(prefix="keras_pretext") as scratch:
        folder = _opened(str(source), pathlib.Path(scratch), sha256)
        there = {}
        for card in store.cards(folder):
            place = _place(card.parent)
            there[f"{place.parts[0]}@{place.parts[1]}"] = card.parent
        if not there:
            raise ZooError(f"there is no zoo entry in it (a folder with a card.json). "
                           f"Received: {source}")
        wanted = _chosen(names, there, source)
        for name in wanted:
            store.check_sums(there[name])
        for name in wanted:
            _install(there[name], root)
    return wanted


def _chosen(names, there, source):
    """The asked names with their versions; the newest where none is said."""
    if not names:
        return [*there]
    out = []
    for name in [names] if isinstance(names, str) else names:
        known = sorted((n for n in there if name in (n, n.partition("@")[0])),
                       key=lambda n: int(n.partition("@")[2]))
        if not known:
            raise ZooError(unknown_name(f"entry of {source}", name, there))
        out.append(known[-1])
    return out


def _place(folder):
    """`name/version` of an entry, as its card says."""
    card = store.read_json(folder / "card.json")
    try:
        store.check_name(card["name"])
        return pathlib.Path(card["name"], str(int(card["version"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(f"a card has a name and a version ({error}). Received: {folder}") from None


def _install(folder, root):
    target = root / _place(folder)
    if not (target.is_symlink() or target.exists() and _whole(target)):
        with store.Draft(target, replace=target.exists()) as draft:
            shutil.copytree(folder, draft, dirs_exist_ok=True, symlinks=True)
            store.check_sums(draft)  # what was copied, not what was looked at before


def _whole(folder):
    """Whether an installed entry has all that it came with; it may have other files besides."""
    try:
        return store.check_sums(folder, [*store.read_json(folder / "sha256.json")]) > 0
    except (ZooError, TypeError):
        return False


def _opened(source, scratch, sha256):
    """The folder that a source is, or is unpacked to."""
    kind = urllib.parse.urlsplit(source).scheme
    if kind in ("http", "https", "file"):
        name = os.path.basename(urllib.parse.urlsplit(source).path)
        path = scratch / (name or "archive")
        _check_archive(name, source)
        _download(source, path)
    else:
        path = pathlib.Path(source).expanduser()
        if path.is_dir() and sha256 is None:
            return path
        if not path.exists():
            raise ZooError("there is no such file: models are fetched from a folder, or an "
                           f"archive of one. Received: {source!r}")
        if not path.is_file():
            raise ZooError("what models are fetched from is a folder, or an archive with a sum. "
                           f"Received: {source!r}")
        _check_archive(path.name, source)
    if sha256 is not None:
        found = store.sha256(path)
        if found != sha256.lower():
            raise ZooError(f"the archive does not have this SHA-256 sum. Received: {sha256} for "
                           f"{source}, whose sum is {found}")
    out = scratch / "unpacked"
    out.mkdir()
    try:
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as file:
                for one in file.namelist():
                    if not (out / one).resolve().is_relative_to(out.resolve()):
                        raise ZooError(f"an archive's file leads out of it. Received: {one!r}")
                file.extractall(out)
        else:
            with tarfile.open(path) as file:
                file.extractall(out, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ZooError(f"this archive is damaged or not safe ({error}). "
                       f"Received: {source}") from None
    return out


def _check_archive(name, source):
    if not name.endswith(_ARCHIVES):
        raise ZooError(f"an archive is one of {', '.join(_ARCHIVES)}. Received: {source}")


def _download(url, path):
    try:
        with contextlib.closing(urllib.request.urlopen(url, timeout=60)) as answer:
            expected, count = answer.headers.get("Content-Length"), 0
            with open(path, "wb") as file:
                while block := answer.read(_BLOCK):
                    count += file.write(block)
        if expected is not None and count != int(expected):
            raise OSError(f"{count} of {expected} bytes came")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise ZooError(f"this cannot be fetched ({error}). Received: {url}") from None
