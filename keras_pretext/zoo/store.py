"""Where entries lie, how one is found by name, and the checks before anything in it is read.

An entry is a folder `<root>/<name>/<version>/`:

    card.json, README.md    what it is and what was measured
    config.json             task and backbone, by registered name and config: data, never code
    golden.npz              pictures and the answer to them
    tables.npz              what the task learnt of the data beside the weights, if anything
    saved_model/            for serving; among its assets is
        assets/weights.npz  every array of the model, head included; never a pickle
    sha256.json             the sum of each file above

An entry without a SavedModel, or one of former versions of this package, has its `weights.npz`
beside `card.json`.

Beside the entries `<root>/tried/<name>.json` tells of a run that was not worth one.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile

from keras_pretext.registry import unknown_name

REQUIRED = ("card.json", "config.json", "golden.npz", "sha256.json")
WEIGHTS = "weights.npz"
TABLES = "tables.npz"
TRIED = "tried"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_CAN_HOLD_CODE = (".keras", ".h5", ".hdf5", ".pkl", ".pickle")


class ZooError(ValueError):
    """An entry is missing, damaged or not safe to read."""


def own_root():
    """Where fetched entries of a user lie: ~/.keras_pretext/zoo."""
    return pathlib.Path("~/.keras_pretext/zoo").expanduser()


def roots():
    """The folders that hold entries: $KERAS_PRETEXT_ZOO, the user's, then the package's own.

    In a checkout the package's is a link to its `zoo/`; in a wheel it is a copy of that.
    """
    places = [os.environ.get("KERAS_PRETEXT_ZOO"), own_root(),
              pathlib.Path(__file__).resolve().parent / "entries"]
    return [pathlib.Path(p) for p in places if p and pathlib.Path(p).is_dir()]


def versions(shelf):
    """The versions in the folder of a name, ascending."""
    return sorted(int(p.name) for p in shelf.iterdir()
                  if p.name.isdecimal() and (p / "card.json").is_file())


def list():  # noqa: A001
    """Names of the published models, sorted."""
    return sorted({p.name for root in roots() for p in root.iterdir()
                   if p.is_dir() and not p.is_symlink() and versions(p)})


def cards(folder, pattern="**/card.json"):
    """The cards below a folder, sorted; none in a hidden one, as a killed publish leaves."""
    folder = pathlib.Path(folder)
    return sorted(path for path in folder.glob(pattern)
                  if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def tried(root):
    """What was tried and not published, as `set_aside` wrote it: a list of dicts, by name."""
    return [read_json(path) for path in sorted((pathlib.Path(root) / TRIED).glob("*.json"))]


def check_name(name):
    """Raises ZooError where `name` cannot be an entry's."""
    if not _NAME.fullmatch(str(name)) or ".." in name or name.isdecimal() or name == TRIED:
        raise ZooError("a zoo name is lower-case letters, digits, '_', '-' and '.', and starts "
                       f"with a letter or digit; {TRIED!r} is taken. Received: {name!r}")


def find(name):
    """The folder of `name`, `name@version`, or of a path to an entry or to a file in one.

    Without a version it is the highest of all roots; of two of a version the earlier root's.

    Raises:
        ZooError: where there is none, or a run that is not published.
    """
    text = str(name)
    path = pathlib.Path(text)
    if os.sep in text or text in (".", ".."):
        folder = path
        if path.is_file():
            folder = next((f for f in path.resolve().parents if (f / "card.json").is_file()),
                          path.parent)
        if (folder / "card.json").is_file():
            return folder.resolve()
        if folder.is_dir() and versions(folder):
            return (folder / str(versions(folder)[-1])).resolve()
        _check_no_run(path)
        raise ZooError("there is no zoo entry at this path (a folder with a card.json), nor a "
                       "finished run (a folder with final/model.keras); a name is NAME or "
                       f"NAME@VERSION and never leads out of the zoo. Received: {text!r}")
    base, at, version = text.partition("@")
    if not _NAME.fullmatch(base) or ".." in base or (at and not version.isdecimal()):
        raise ZooError("a zoo name is lower-case letters, digits, '_', '-' and '.', and '@' and "
                       "an integer for a version; or the path of an entry. "
                       f"Received: {text!r}")
    known = {}  # version to root
    for root in reversed(roots()):
        if (root / base).is_dir():
            known.update(dict.fromkeys(versions(root / base), root))
    if known:
        number = int(version) if version else max(known)
        if number not in known:
            raise ZooError(unknown_name(f"version of {base}", version, map(str, known)))
        root = known[number]
        folder = root / base / str(number)
        if not folder.resolve().is_relative_to(root.resolve()):
            raise ZooError("this entry is a link that leads out of the zoo; pass its own path to "
                           f"load it from there. Received: {text!r} -> {folder.resolve()}")
        return folder
    if not at and (path / "card.json").is_file():
        return path.resolve()
    _check_no_run(path)
    raise ZooError(unknown_name("zoo model here (`keras-pretext zoo fetch` installs others)", base,
                                list()))


def full_name(name):
    """`name@version` of an entry that is called by its name; a path is given back as it is."""
    if os.sep in str(name):
        return str(name)
    try:
        card = read_json(find(name) / "card.json")
    except ZooError:  # a run's, or a file's
        return str(name)
    return f"{card['name']}@{card['version']}"


def _check_no_run(path):
    """Raises ZooError where a path is a finished run's, which has no card and no sums."""
    if (path / "final" / "model.keras").is_file():
        raise ZooError("this is a run and no zoo entry: publish it first, `keras-pretext publish "
                       f"RUN NAME`. Received: {str(path)!r}")


def weights_of(folder):
    """The file with an entry's weights, relative to its folder."""
    return WEIGHTS if (folder / WEIGHTS).is_file() else f"saved_model/assets/{WEIGHTS}"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path):
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ZooError(f"this file is damaged ({error}). Received: {path}") from None


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, default=str) + "\n")


def files_of(folder):
    """Every file and link of an entry as a relative path, but for the sums themselves."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*")
                  if (p.is_symlink() or not p.is_dir()) and p != folder / "sha256.json")


def check_sums(folder, names=None):
    """Compares files with their SHA-256 sums: `names`, or all, and then none may lack a sum.

    Raises:
        ZooError: where a file is missing, differs, lies outside the entry or may hold code.
    """
    for required in (*REQUIRED, weights_of(folder)):
        if not (folder / required).is_file():
            raise ZooError(f"this entry is incomplete: {required} is missing. Received: {folder}")
    present = files_of(folder)
    for name in present:
        if name.endswith(_CAN_HOLD_CODE):
            raise ZooError("an entry holds no Keras, HDF5 or pickle file: reading one can run its "
                           f"code. Received: {folder / name}")
    sums = read_json(folder / "sha256.json")
    if not isinstance(sums, dict):
        raise ZooError(f"sha256.json is a table of file and sum. Received: {type(sums).__name__}")
    for name in names or sorted({*sums, *present}):
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ZooError(f"a file of the entry leads out of it. Received: {name!r} in {folder}")
        if name not in sums:
            raise ZooError(f"{name} has no SHA-256 sum; it does not belong to the entry. "
                           f"Received: {folder}")
        found = sha256(path) if path.is_file() else "no file"
        if found != sums[name]:
            raise ZooError(f"{name} does not have its SHA-256 sum {str(sums[name])[:12]}...: it "
                           "was changed or cut short; fetch the entry again. "
                           f"Received: {found[:12]} in {folder}")
    return len(sums)


def info(name):
    """The card of an entry, as a dict; its sum is checked."""
    folder = find(name)
    check_sums(folder, ("card.json",))
    return read_json(folder / "card.json")


class Draft:
    """A folder written beside its target and renamed to it when all went well, else removed.

    With `replace` the target is there already; it makes way at the very end.
    """

    def __init__(self, target, replace=False):
        self.target, self.replace = pathlib.Path(target), replace

    def __enter__(self):
        self.new_parent = not self.target.parent.exists()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=".draft", dir=self.target.parent))
        return self.path

    def __exit__(self, error, *_):
        try:
            if error is None:
                os.chmod(self.path, 0o755)
                if self.replace:
                    self._exchange()
                else:
                    os.rename(self.path, self.target)
        finally:
            shutil.rmtree(self.path, ignore_errors=True)
            if error is not None and self.new_parent and not any(self.target.parent.iterdir()):
                self.target.parent.rmdir()

    def _exchange(self):
        former = tempfile.mkdtemp(prefix=".former", dir=self.target.parent)
        os.rename(self.target, former)
        try:
            os.rename(self.path, self.target)
        except OSError:
            os.rename(former, self.target)
            raise
        shutil.rmtree(former)
