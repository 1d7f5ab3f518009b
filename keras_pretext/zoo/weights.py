"""Weights on disk: plain arrays by name, never a pickle and never code."""

import json
import pathlib
import zipfile
import zlib

import keras
import numpy as np

from keras_pretext.zoo.store import ZooError


def save(path, model, dtype="float16"):
    """Writes a model's weights to an `.npz`, floats as `dtype` where they fit in it.

    The names are those of `names`.
    """
    stored = {}
    for name, weight in zip(names(model), model.weights, strict=True):
        value = keras.ops.convert_to_numpy(weight)
        if value.dtype == np.float32:
            with np.errstate(over="ignore"):
                small = value.astype(dtype)
            value = small if np.isfinite(small).all() else value
        stored[name] = value
    with open(path, "wb") as file:
        np.savez_compressed(file, **stored)


def names(model):
    """`0000/<path>` of each weight, numbered in the order of `model.weights`."""
    return [f"{k:04d}/{weight.path}" for k, weight in enumerate(model.weights)]


def read_arrays(path):
    """The arrays of an `.npz` by name; ZooError where it is damaged or holds objects."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, KeyError, zipfile.BadZipFile,
            zlib.error) as error:
        raise ZooError(f"these arrays cannot be read, the file is cut short or no plain .npz "
                       f"({error}). Received: {path}") from None


def load(path, model):
    """Reads what `save` wrote into a model.

    Raises:
        ZooError: where the file is damaged, holds objects, or is another model's.
    """
    stored = read_arrays(path)
    names, weights = sorted(stored), model.weights
    if len(names) != len(weights):
        raise ZooError(f"these weights are of another model: {len(weights)} arrays are needed. "
                       f"Received: {len(names)} in {path}")
    for name, weight in zip(names, weights, strict=True):
        if stored[name].shape != tuple(weight.shape):
            raise ZooError(f"these weights are of another model: {weight.path} is "
                           f"{tuple(weight.shape)}. Received: {stored[name].shape} in {path}")
    for name, weight in zip(names, weights, strict=True):
        weight.assign(stored[name].astype(keras.backend.standardize_dtype(weight.dtype)))


def config_of(model):
    """A PretextModel as data: registered names and configs of its task and backbone."""
    from keras_pretext import backbones, tasks

    def named(registry, thing):
        for name in registry.names():
            if registry.get(name) is type(thing):
                return {"name": name, "config": thing.get_config()}
        raise ZooError(f"only a registered {registry.kind} is published, so that it can be built "
                       f"by name: {', '.join(registry.names())}. "
                       f"Received: {type(thing).__name__}")

    return json.loads(json.dumps({"task": named(tasks.base.registry, model.task),
                                  "backbone": named(backbones.registry, model.backbone)}))


def build(config):
    """The PretextModel of `config_of`, with fresh weights."""
    from keras_pretext import backbones, tasks

    try:
        task, backbone = config["task"], config["backbone"]
        task = tasks.get(task["name"], **task["config"])
        backbone = backbones.get(backbone["name"], **backbone["config"])
    except (KeyError, TypeError) as error:
        raise ZooError("config.json holds a task and a backbone, each with name and config "
                       f"({error}). Received: {str(config)[:200]}") from None
    return task.attach(backbone)


def read_keras(path):
    """The PretextModel of a `.keras` file, if all it names is keras_pretext's.

    Nothing that the file says is imported: its config may hold only this package's registered
    classes and plain values. Lambda layers, functions and other modules are refused unread.
    """
    from keras_pretext import backbones, tasks  # noqa: F401  (registers the classes)
    from keras_pretext.tasks.base import PretextModel

    path = pathlib.Path(path)
    if not path.is_file():
        raise ZooError(f"there is no such file. Received: {path}")
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ZooError(f"this .keras file is damaged ({error}). Received: {path}") from None
    if not isinstance(config, dict):
        raise ZooError(f"this .keras file is damaged (no config). Received: {path}")
    config.pop("compile_config", None)  # never read: the task brings loss and metrics
    for kind in _classes(config):
        if not kind.startswith("keras_pretext>") and kind != "__tuple__":
            raise ZooError("this .keras file is not safe to read: only files that hold nothing "
                           "but registered classes of keras_pretext are. "
                           f"Received: {kind} in {path}")
    known = config.get("registered_name")
    kind = keras.saving.get_registered_object(known) if isinstance(known, str) else None
    if not (isinstance(kind, type) and issubclass(kind, PretextModel)):
        raise ZooError("a .keras file in the zoo's sense holds a PretextModel. "
                       f"Received: {known} in {path}")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # h5py and Keras raise what they like on damaged files
        raise ZooError(f"this .keras file is damaged ({type(error).__name__}: {error}). "
                       f"Received: {path}") from None


def _classes(config):
    """Every class that a Keras config would look up, `registered_name` or module and class."""
    if isinstance(config, list):
        for value in config:
            yield from _classes(value)
    elif isinstance(config, dict):
        if "class_name" in config or "registered_name" in config or "module" in config:
            registered = config.get("registered_name")
            if registered and registered.startswith("keras_pretext>"):
                # the module decides where Keras looks: it must be ours too
                module = config.get("module") or "keras_pretext"
                ours = module == "keras_pretext" or module.startswith("keras_pretext.")
                yield registered if ours else f"{module}.{config.get('class_name')}"
            elif config.get("class_name") == "__tuple__":
                yield "__tuple__"
            else:
                yield f"{config.get('module')}.{config.get('class_name')}"
        for value in config.values():
            yield from _classes(value)
