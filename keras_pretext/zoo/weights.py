"""Weights on disk: plain arrays by name, never a pickle and never code."""

import json
import zipfile

import keras
import numpy as np


def arrays_of(model):
    """`{"0000/<path>": array}` of a model's weights, in order."""
    return {f"{k:04d}/{w.path}": keras.ops.convert_to_numpy(w)
            for k, w in enumerate(model.weights)}


def save(path, model, dtype="float16"):
    """Writes a model's weights, floats as `dtype` where they fit in it, to an `.npz`."""
    stored = {}
    for name, value in arrays_of(model).items():
        small = value.astype(dtype) if value.dtype == np.float32 else value
        fits = np.isfinite(small).all() if small.dtype != value.dtype else True
        stored[name] = small if fits else value
    with open(path, "wb") as file:
        np.savez_compressed(file, **stored)


def load(path, model):
    """Reads what `save` wrote into a model.

    Raises:
        ValueError: where the file is damaged, holds objects, or is another model's.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"the weights cannot be read ({error}). Received: {path}") from None
    names, weights = sorted(stored), model.weights
    if len(names) != len(weights):
        raise ValueError(f"these weights are of another model: {len(weights)} arrays are needed. "
                         f"Received: {len(names)} in {path}")
    for name, weight in zip(names, weights, strict=True):
        if stored[name].shape != tuple(weight.shape):
            raise ValueError(f"these weights are of another model: {weight.path} is "
                             f"{tuple(weight.shape)}. Received: {stored[name].shape} in {path}")
        weight.assign(stored[name].astype(keras.backend.standardize_dtype(weight.dtype)))


def config_of(model):
    """A PretextModel as data: registered names and configs of its task and backbone."""
    from keras_pretext import backbones, tasks

    def named(registry, thing):
        name = next(n for n in registry.names() if registry.get(n) is type(thing))
        return {"name": name, "config": thing.get_config()}

    return json.loads(json.dumps({"task": named(tasks.base.registry, model.task),
                                  "backbone": named(backbones.registry, model.backbone)}))


def build(config):
    """The PretextModel of `config_of`, with fresh weights, in float32."""
    from keras_pretext import backbones, tasks

    task = tasks.get(config["task"]["name"], **config["task"]["config"])
    return task.attach(backbones.get(config["backbone"]["name"], **config["backbone"]["config"]))
