"""Frozen features of any taps: computed once, in one pass, kept as memory-mapped files."""

import json
import os
import pathlib
import shutil
import tempfile

import keras
import numpy as np

from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.source import digest
from keras_pretext.evaluation.pooling import AdaptiveMaxPooling, pooled_size
from keras_pretext.image.framing import CentreCrop
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.classification import ClassificationLayer


def cache_root():
    """$KERAS_PRETEXT_CACHE, or ~/.cache/keras_pretext."""
    return pathlib.Path(os.environ.get("KERAS_PRETEXT_CACHE", "~/.cache/keras_pretext")).expanduser()


def backbone_of(model):
    """The backbone of a PretextModel, a zoo model, or the backbone itself."""
    found = getattr(model, "backbone", model)
    if not hasattr(found, "taps"):
        raise ValueError("features come from a Backbone, or a model that has one as `.backbone`. "
                         f"Received: {type(model).__name__}")
    return found


def size_for(model, source):
    """The side in pixels at which a model looks at a source: its task's, or the pictures' own."""
    task = getattr(model, "task", None)
    if task is not None:
        return task.image_size
    if source.uniform_shape is None:
        raise ValueError("these pictures differ in size: pass image_size. "
                         f"Received: {source.name!r}")
    return min(source.uniform_shape[:2])


def weights_digest(backbone):
    """SHA-256 over a backbone's config and weights."""
    config = json.dumps(backbone.get_config(), sort_keys=True, default=str)
    return digest(config, *(np.asarray(keras.ops.convert_to_numpy(w)) for w in backbone.weights))


def check_taps(backbone, taps):
    """The asked tap names as a list; None means all. Raises ValueError for an unknown one."""
    taps = list(backbone.taps) if taps is None else [taps] if isinstance(taps, str) else list(taps)
    for tap in taps:
        if tap not in backbone.taps:
            raise ValueError(unknown_name(f"tap of {backbone.name}", tap, backbone.taps))
    return taps


def features(model, source, taps=None, image_size=None, pooling=None, flip=False, batch_size=250,
             cache=True):
    """Features of a frozen network in evaluation mode, one pass over the data for all taps.

    Args:
        model: a Backbone or a model that has one.
        source: pictures, framed centrally (short side to `image_size`, central square).
        taps: names, or None for all.
        image_size: pixels; by default what the model was trained at.
        pooling: None for the maps, "adaptive" for RotNet's adaptive max pooling to at most 9600
            features, "avg" for `(n, channels)`.
        flip: mirror every picture.
        cache: keep the files under `cache_root()` and use them again.

    Returns:
        dict from tap to a float16 memory map `(n, ...)`. The key of the cache is made of the
        weights, the data's fingerprint and the arguments.
    """
    backbone = backbone_of(model)
    taps = check_taps(backbone, taps)
    image_size = image_size or size_for(model, source)
    base = (weights_digest(backbone), source.fingerprint(), source.split,
            f"{image_size} {pooling} {flip}")
    root = cache_root() / "features" if cache else pathlib.Path(tempfile.mkdtemp())
    folders = {tap: root / digest(*base, tap)[:32] for tap in taps}
    missing = [tap for tap in taps if not (folders[tap] / "features.npy").exists()]
    if missing:
        _compute(backbone, source, missing, image_size, pooling, flip, batch_size,
                 {tap: folders[tap] for tap in missing})
    out = {tap: np.load(folders[tap] / "features.npy", mmap_mode="r") for tap in taps}
    if not cache:
        shutil.rmtree(root, ignore_errors=True)  # the maps stay open
    return out


def _compute(backbone, source, taps, image_size, pooling, flip, batch_size, folders):
    images = keras.Input((image_size, image_size, 3), name="images")
    maps = backbone.extractor(taps)(images)
    if pooling == "adaptive":
        maps = {t: AdaptiveMaxPooling(pooled_size(m.shape[1], m.shape[-1]))(m)
                for t, m in maps.items()}
    elif pooling == "avg":
        maps = {t: keras.layers.GlobalAveragePooling2D(dtype="float32")(m)
                for t, m in maps.items()}
    elif pooling is not None:
        raise ValueError(f"pooling is None, 'adaptive' or 'avg'. Received: {pooling!r}")
    extractor = keras.Model(images, maps)
    run = _compiled(extractor)
    files, temporary = {}, {}
    try:
        for tap in taps:
            folders[tap].parent.mkdir(parents=True, exist_ok=True)
            temporary[tap] = pathlib.Path(tempfile.mkdtemp(dir=folders[tap].parent, prefix=".part"))
            files[tap] = np.lib.format.open_memmap(
                temporary[tap] / "features.npy", "w+", np.float16,
                (source.num_examples, *maps[tap].shape[1:]))
        place = 0
        for batch in _batches(source, image_size, batch_size):
            if flip:
                batch = batch[:, :, ::-1]
            for tap, values in run(batch).items():
                values = np.clip(np.asarray(values, np.float32), -65000, 65000)
                files[tap][place:place + len(values)] = values
            place += len(batch)
        for tap in taps:
            files.pop(tap).flush()
            shutil.rmtree(folders[tap], ignore_errors=True)
            os.replace(temporary[tap], folders[tap])
    finally:
        for folder in temporary.values():
            shutil.rmtree(folder, ignore_errors=True)


def _compiled(extractor):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        run = tf.function(lambda x: extractor(x, training=False), reduce_retracing=True)
        return lambda x: {k: tf.cast(v, tf.float32).numpy() for k, v in run(tf.constant(x)).items()}
    return lambda x: {k: keras.ops.convert_to_numpy(keras.ops.cast(v, "float32"))
                      for k, v in extractor(x, training=False).items()}


def _batches(source, image_size, batch_size):
    """uint8 NumPy batches of centrally framed pictures, in the data's order."""
    if source.uniform_shape == (image_size, image_size, 3) and pipelines.held_in_memory(source):
        images = source.arrays()[0]
        for start in range(0, len(images), batch_size):
            yield images[start:start + batch_size]
        return
    layer = ClassificationLayer(False, CentreCrop(image_size))
    layer.uses_labels = False
    for images, _ in pipelines.pipeline(source, layer, batch_size, 0, shuffle=False):
        yield images.numpy()
