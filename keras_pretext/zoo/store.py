"""Where entries lie, and how one is written, read and checked."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile

import numpy as np

from keras_pretext.registry import unknown_name

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_TOLERANCE = 1e-4
REQUIRED = ("card.json", "config.json", "weights.npz", "golden.npz", "sha256.json")


class ZooError(ValueError):
    """An entry is missing, damaged or not safe to read."""


def roots():
    """The folders that hold entries: $KERAS_PRETEXT_ZOO, the installed package's, the checkout's.
    """
    package = pathlib.Path(__file__).resolve().parent
    places = [os.environ.get("KERAS_PRETEXT_ZOO"), package / "entries",
              package.parents[1] / "zoo"]
    return [pathlib.Path(p) for p in places if p and pathlib.Path(p).is_dir()]


def _versions(folder):
    return sorted(int(p.name) for p in folder.iterdir()
                  if p.name.isdigit() and (p / "card.json").is_file())


def list():  # noqa: A001
    """Names of the published models, sorted."""
    return sorted({p.name for root in roots() for p in root.iterdir()
                   if p.is_dir() and not p.is_symlink() and _versions(p)})


def _find(name):
    """The folder of `name`, `name@version`, or of a path to an entry or a file in it."""
    text = str(name)
    path = pathlib.Path(text)
    if path.is_file():
        path = path.parent
    if (path / "card.json").is_file() and (os.sep in text or text in (".", "..")):
        return path.resolve()
    base, at, version = text.partition("@")
    if not _NAME.fullmatch(base) or ".." in base or (at and not version.isdigit()):
        raise ZooError("a zoo name is letters, digits, '_', '-' and '.', and '@' and an integer "
                       f"for a version; or the path of an entry. Received: {text!r}")
    for root in roots():
        folder = root / base
        if folder.is_dir() and folder.resolve().is_relative_to(root.resolve()):
            versions = _versions(folder)
            if version and int(version) not in versions:
                raise ZooError(unknown_name(f"version of {base}", version, map(str, versions)))
            if versions:
                return folder / str(int(version) if version else versions[-1])
    raise ZooError(unknown_name("zoo model", base, list()))


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_sums(folder, names=None):
    """Compares files with their sums; all of them, or only `names`."""
    for required in REQUIRED:
        if not (folder / required).is_file():
            raise ZooError(f"this entry is incomplete: {required} is missing. Received: {folder}")
    for path in folder.rglob("*"):
        if path.suffix in (".keras", ".pkl", ".pickle", ".h5"):
            raise ZooError("an entry holds no .keras, .h5 or pickle file: those can run code when "
                           f"they are read. Received: {path}")
    sums = _json(folder / "sha256.json")
    for name, expected in sums.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ZooError(f"a file of the entry lies outside it. Received: {name!r}")
        if names is not None and name not in names:
            continue
        found = _sha256(path) if path.is_file() else "no file"
        if found != expected:
            raise ZooError(f"{name} does not have its SHA-256 sum {expected[:12]}...; fetch the "
                           f"entry again. Received: {found[:12]} in {folder}")
    missing = set(names or ()) - set(sums)
    if missing:
        raise ZooError(f"there is no SHA-256 sum for {', '.join(sorted(missing))}. "
                       f"Received: {folder}")


def _json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ZooError(f"this file is damaged ({error}). Received: {path}") from None


def info(name):
    """The card of an entry, as a dict."""
    return _json(_find(name) / "card.json")


def _whole(folder):
    """The PretextModel of an entry, its sums checked."""
    from keras_pretext.zoo import weights

    _check_sums(folder, ("config.json", "weights.npz"))
    model = weights.build(_json(folder / "config.json"))
    weights.load(folder / "weights.npz", model)
    return model


def load(name, taps=None, pooling=None, head=False, trainable=False):
    """A published model, ready to use.

    Args:
        name: "rotnet_nin", "rotnet_nin@1", the folder of an entry or a file in it.
        taps: a tap name (the model gives a tensor), a list of names or None for all (a dict).
        pooling: None for maps, "avg" or "max" for `(batch, channels)` vectors.
        head: the whole PretextModel instead, with its pretext head, `.task` and `.backbone`.
        trainable: False freezes every weight.

    Returns:
        a Keras model on RGB images, uint8 or float in 0..255, `(batch, height, width, 3)` of any
        size; normalisation is part of it.

    Raises:
        ValueError: for an unknown name (with the nearest), a damaged or unsafe entry, an unknown
            tap or pooling.
    """
    model = _whole(_find(name))
    model.trainable = trainable
    if head:
        if taps is not None or pooling is not None:
            raise ValueError("head=True gives the whole model; taps and pooling are for features. "
                             f"Received: taps={taps!r}, pooling={pooling!r}")
        return model
    out = model.backbone.extractor(taps, pooling)
    out.trainable = trainable
    return out


def _golden(model):
    """Fixed noise-and-gradient pictures and the model's features on them."""
    rng = np.random.default_rng(0)
    size = model.task.image_size
    ramp = np.linspace(0, 255, size)[None, :, None, None]
    images = 0.6 * ramp + 0.4 * rng.integers(0, 256, (2, size, size, 3))
    images = images.astype(np.uint8)
    return images, _golden_outputs(model, images)


def _golden_outputs(model, images):
    import keras

    features = model.backbone.extractor(pooling="avg")(images, training=False)
    return {tap: keras.ops.convert_to_numpy(v) for tap, v in features.items()}


def verify(name):
    """Checks every sum, then repeats the golden pictures through the model and the SavedModel.

    Returns:
        dict: the largest difference found, and the files checked.

    Raises:
        ValueError: for a damaged entry or another answer.
    """
    folder = _find(name)
    _check_sums(folder)
    model = _whole(folder)
    with np.load(folder / "golden.npz", allow_pickle=False) as file:
        golden = {k: file[k] for k in file.files}
    images = golden.pop("images")
    worst = _compare(golden, _golden_outputs(model, images), folder)
    if (folder / "saved_model").is_dir() and _has_tensorflow():
        import tensorflow as tf

        served = tf.saved_model.load(str(folder / "saved_model")).signatures["features"]
        maps = served(images=tf.constant(images))
        pooled = {k: np.asarray(v, np.float32).mean((1, 2)) for k, v in maps.items()}
        worst = max(worst, _compare(golden, pooled, folder / "saved_model"))
    return {"largest_difference": float(worst), "files": len(_json(folder / "sha256.json"))}


def _has_tensorflow():
    import importlib.util

    return importlib.util.find_spec("tensorflow") is not None


def _compare(golden, found, where):
    worst = 0.0
    for tap, expected in golden.items():
        scale = max(1.0, float(np.abs(expected).max()))
        worst = max(worst, float(np.abs(found[tap] - expected).max()) / scale)
    if not worst <= _TOLERANCE * 10:
        raise ZooError(f"the golden pictures give another answer (off by {worst:.2g} of the "
                       f"features' scale). Received: {where}")
    return worst


def publish(model, name, root="zoo", card=None, run=None, version=None, saved_model=True):
    """Writes an entry `<root>/<name>/<version>/`, beside, then renamed; verified before that.

    Args:
        model: a PretextModel.
        name: of the entry.
        root: the zoo's folder.
        card: fields of the card: metrics, licence, limits, paper ...
        run: the run folder that the model comes from, for the card's provenance.
        version: integer; the next free one by default.
        saved_model: also write the SavedModel (needs TensorFlow).

    Returns:
        the entry's folder, a pathlib.Path.
    """
    from keras_pretext.zoo import card as cards
    from keras_pretext.zoo import weights

    if not _NAME.fullmatch(name) or name.isdigit():
        raise ZooError("a zoo name is lower-case letters, digits, '_', '-' and '.'. "
                       f"Received: {name!r}")
    shelf = pathlib.Path(root) / name
    shelf.mkdir(parents=True, exist_ok=True)
    taken = _versions(shelf)
    version = version or (taken[-1] + 1 if taken else 1)
    if version in taken:
        raise ZooError(f"version {version} of {name} exists; versions are never overwritten. "
                       f"Received: {version}")
    draft = pathlib.Path(tempfile.mkdtemp(prefix=".draft", dir=shelf))
    try:
        config = weights.config_of(model)
        _write_json(draft / "config.json", config)
        weights.save(draft / "weights.npz", model)
        stored = weights.build(config)  # what is measured is what is saved
        weights.load(draft / "weights.npz", stored)
        images, outputs = _golden(stored)
        np.savez(draft / "golden.npz", images=images, **outputs)
        full = {"name": name, "version": version, **config,
                "taps": {t.name: {"channels": t.channels, "stride": t.stride}
                         for t in stored.backbone.taps.values()},
                "image_size": stored.task.image_size, "parameters": stored.count_params(),
                **_provenance(run), **(card or {})}
        _write_json(draft / "card.json", full)
        (draft / "README.md").write_text(cards.render(full))
        if saved_model:
            from keras_pretext.serving.signatures import export

            export(stored, draft / "saved_model")
        sums = {str(p.relative_to(draft)): _sha256(p) for p in sorted(draft.rglob("*"))
                if p.is_file()}
        _write_json(draft / "sha256.json", sums)
        verify(draft)
        os.chmod(draft, 0o755)
        os.rename(draft, shelf / str(version))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return shelf / str(version)


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=1, default=str) + "\n")


def _provenance(run):
    if run is None:
        return {}
    run = pathlib.Path(run)
    manifest, metrics = _json(run / "manifest.json"), _json(run / "final" / "metrics.json")
    return {"data": manifest["data"], "recipe": manifest["recipe"],
            "command": manifest["command"], "versions": manifest["versions"],
            "seed": manifest["recipe"]["seed"], "hardware": manifest["hardware"],
            "images_seen": metrics["images_seen"], "wall_seconds": metrics["wall_seconds"],
            "pretext": {k: v for k, v in metrics.items() if k.startswith("test_")}}


def bundle(names, out):
    """Copies entries (checked) to a folder that is a zoo of its own, for hosts without one."""
    out = pathlib.Path(out)
    for name in names:
        folder = _find(name)
        _check_sums(folder)
        target = out / info(name)["name"] / folder.name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = pathlib.Path(tempfile.mkdtemp(prefix=".draft", dir=target.parent))
        shutil.copytree(folder, draft, dirs_exist_ok=True)
        os.chmod(draft, 0o755)
        os.rename(draft, target)
    return out
