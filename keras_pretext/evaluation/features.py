"""Frozen features of any taps: computed once, in one pass, kept as memory-mapped files."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.data import draws
from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.source import digest
from keras_pretext.evaluation.pooling import POOLINGS, pooled
from keras_pretext.image.framing import CentreCrop, PadCrop, checked_side
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.classification import ClassificationLayer
from keras_pretext.training.precision import precision

VERSION = "1"  # of what the cached files mean
DAY = 86400  # seconds


def cache_root():
    """$KERAS_PRETEXT_CACHE, or ~/.cache/keras_pretext."""
    root = os.environ.get("KERAS_PRETEXT_CACHE") or "~/.cache/keras_pretext"
    return pathlib.Path(root).expanduser()


def cache_limit():
    """Bytes `features` and `pictures` may each take: $KERAS_PRETEXT_CACHE_GB (50) times 1e9."""
    value = os.environ.get("KERAS_PRETEXT_CACHE_GB") or "50"
    try:
        limit = float(value) * 1e9
    except ValueError:
        limit = -1
    if not limit >= 0:
        raise ValueError("$KERAS_PRETEXT_CACHE_GB is a number of gigabytes, at least 0. "
                         f"Received: {value!r}")
    return limit


def make_room(folder, needed):
    """Removes the files used longest ago until `needed` more bytes fit the limit and the disk.

    What is asked for now is written also where it alone is more. Parts that a killed process
    left there a day ago go too. Open memory maps of removed files stay readable. What cannot be
    removed (a folder that others write too) stays.
    """
    limit, now, held = cache_limit(), time.time(), []
    for path in folder.glob(".part*"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > DAY:
                path.unlink()
    for path in folder.glob("*.npy"):
        with contextlib.suppress(OSError):
            found = path.stat()
            held.append((found.st_mtime, found.st_size, path))
    excess = max(needed + sum(size for _, size, _ in held) - limit,
                 needed - shutil.disk_usage(folder).free)
    for _, size, path in sorted(held):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            excess -= size


def size_for(model, source, asked=None):
    """The side in pixels at which a model looks at a source: its task's, or the pictures' own.

    Raises ValueError where pictures differ in size and there is no task, or for what was `asked`,
    where that is no side.
    """
    if asked is not None:
        return checked_side(asked)
    task = getattr(model, "task", None)
    if task is not None:
        return task.image_size
    if source.uniform_shape is None:
        raise ValueError("these pictures differ in size: pass image_size. "
                         f"Received: {source.name!r}")
    return min(source.uniform_shape[:2])


def weights_digest(backbone):
    """SHA-256 over a backbone's config (but its name), its precision and its weights."""
    config = {k: v for k, v in backbone.get_config().items() if k != "name"}
    policies = " ".join(layer.dtype_policy.name for layer in backbone.layers)
    return digest(type(backbone).__name__, json.dumps(config, sort_keys=True, default=str),
                  policies, *(np.asarray(keras.ops.convert_to_numpy(w)) for w in backbone.weights))


def check_taps(backbone, taps):
    """The asked tap names as a list; None means all. Raises ValueError for an unknown one."""
    taps = list(backbone.taps) if taps is None else [taps] if isinstance(taps, str) else list(taps)
    if not taps:
        raise ValueError(f"no tap is asked for; {backbone.name} has "
                         f"{', '.join(backbone.taps)}. Received: {taps!r}")
    for tap in taps:
        if tap not in backbone.taps:
            raise ValueError(unknown_name(f"tap of {backbone.name}", tap, backbone.taps))
    return list(dict.fromkeys(taps))


def features(model, source, taps=None, image_size=None, pooling=None, flip=False, batch_size=250,
             cache=True, dtype=None, tiles=1):
    """Features of a frozen network in evaluation mode, one pass over the data for all taps.

    Args:
        model: a Backbone or a model that has one.
        source: pictures, framed centrally (short side to `image_size`, central square).
        taps: names, or None for all.
        image_size: pixels; by default what the model was trained at.
        pooling: None for the maps, or a name of `pooling.POOLINGS`: "adaptive" for RotNet's
            adaptive max pooling to at most 9600 features, "avg" for `(n, channels)`.
        flip: mirror every picture.
        cache: keep the files under `cache_root()` and use them again.
        dtype: a dtype policy for the pass, such as "mixed_bfloat16" (about three times faster on
            CPUs that have it); by default the backbone's own.
        tiles: the square is cut into `tiles x tiles`, each is seen alone, and their maps are
            averaged (before `pooling`); `image_size` is a multiple of it.

    Returns:
        dict from tap to a float16 memory map `(n, ...)`. The key of the cache is made of the
        weights, the data's fingerprint and the arguments.
    """
    return feature_views(model, source, (flip,), taps, image_size, pooling, batch_size, cache,
                         dtype, tiles)[0]


def feature_views(model, source, flips=(False, True), taps=None, image_size=None, pooling=None,
                  batch_size=250, cache=True, dtype=None, tiles=1, crops=0):
    """A list with one result of `features` for each view, all from one pass over the data.

    The views are those of `flips` and after them `crops` random ones (`augmentation`), the same
    ones each time.
    """
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(unknown_name("pooling", pooling, POOLINGS))
    backbone = backbone_of(model)
    taps = check_taps(backbone, taps)
    image_size = size_for(model, source, image_size)
    if tiles < 1 or image_size % tiles:
        raise ValueError(f"pictures of {image_size} pixels are cut into as many tiles a side as "
                         f"divide that. Received: tiles={tiles}")
    if dtype is not None:
        backbone = in_precision(backbone, dtype)
    base = (VERSION, weights_digest(backbone), source.fingerprint(), source.split, str(image_size),
            str(pooling), *([] if tiles == 1 else [f"{tiles} tiles"]))
    root = cache_root() / "features" if cache else pathlib.Path(tempfile.mkdtemp())
    views = [bool(flip) for flip in flips] + [f"crop {k}" for k in range(crops)]
    paths = {(tap, view): root / f"{digest(*base, tap, str(view))[:32]}.npy"
             for tap in taps for view in views}
    try:
        found = {key: _kept(path) for key, path in paths.items()}  # open: they may make room
        missing = {key: paths[key] for key, values in found.items() if values is None}
        if missing:
            _compute(backbone, source, missing, image_size, pooling, batch_size, tiles)
            found.update({key: np.load(path, mmap_mode="r") for key, path in missing.items()})
        return [{tap: found[tap, view] for tap in taps} for view in views]
    finally:
        if not cache:
            shutil.rmtree(root, ignore_errors=True)  # the maps stay open


def pictures(source, image_size, cache=True):
    """All pictures, centrally framed: uint8 `(n, size, size, 3)`, in memory or memory-mapped."""
    if source.uniform_shape == (image_size, image_size, 3) and pipelines.held_in_memory(source):
        return source.arrays()[0]
    root = cache_root() / "pictures" if cache else pathlib.Path(tempfile.mkdtemp())
    path = root / f"{digest(VERSION, source.fingerprint(), source.split, str(image_size))[:32]}.npy"
    try:
        found = _kept(path)
        if found is None:
            shape = (image_size, image_size, 3)
            with _written({None: (path, np.uint8, shape)}, source.num_examples) as files:
                for batch in batches(source, image_size, 500):
                    files[None].write(np.ascontiguousarray(batch).tobytes())
            found = np.load(path, mmap_mode="r")
        return found
    finally:
        if not cache:
            shutil.rmtree(root, ignore_errors=True)


def first_pictures(source, image_size, count=160):
    """The first pictures, centrally framed: uint8 `(count, image_size, image_size, 3)`.

    160 (ten batches of 16) serve the data-dependent initialisation in its released code.
    """
    return np.ascontiguousarray(next(iter(batches(source, image_size, count))))


def in_precision(backbone, dtype):
    """A copy of a backbone that computes under another dtype policy, with the same weights."""
    with precision(dtype):
        copy = type(backbone).from_config(backbone.get_config())
    copy.set_weights(backbone.get_weights())
    return copy


def _kept(path):
    """The memory map of a file, which then counts as used now; None where there is none."""
    with contextlib.suppress(OSError):  # a cache that others wrote
        os.utime(path)
    try:
        return np.load(path, mmap_mode="r")
    except (FileNotFoundError, NotADirectoryError):  # the second is told when it is written
        return None


@contextlib.contextmanager
def _written(wanted, count):
    """Files for `count` rows each, written beside their place and renamed when complete.

    Args:
        wanted: dict from key to `(path, dtype, shape of a row)`.

    Yields:
        dict from key to a binary file that takes the rows. Where anything fails, or the rows are
        not `count`, nothing is left behind.
    """
    files, parts, needed = {}, {}, {}
    try:
        for path, dtype, shape in wanted.values():
            size = count * int(np.prod(shape)) * np.dtype(dtype).itemsize
            needed[path.parent] = needed.get(path.parent, 0) + size
        for folder, size in needed.items():
            folder.mkdir(parents=True, exist_ok=True)
            make_room(folder, size)
        for key, (path, dtype, shape) in wanted.items():
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part")
            files[key], parts[key] = os.fdopen(handle, "wb"), pathlib.Path(name)
            np.lib.format.write_array_header_1_0(files[key], {
                "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False,
                "shape": (count, *shape)})
        headers = {key: file.tell() for key, file in files.items()}
        yield files
        for key, (path, dtype, shape) in wanted.items():
            row = int(np.prod(shape)) * np.dtype(dtype).itemsize
            given = (files[key].tell() - headers[key]) // row
            if given != count:
                raise ValueError(f"the source gave another number of pictures than it announced, "
                                 f"{count}. Received: {given}")
            files[key].close()
            os.replace(parts[key], path)
    except OSError as error:
        raise OSError(error.errno, f"features cannot be written ({error.strerror}); point "
                      "$KERAS_PRETEXT_CACHE to a folder that is writable and has room. "
                      f"Received: {cache_root()}") from error
    finally:
        for file in files.values():
            with contextlib.suppress(OSError):  # a full disk refuses the last flush too
                file.close()
        for part in parts.values():
            part.unlink(missing_ok=True)


def _compute(backbone, source, paths, image_size, pooling, batch_size, tiles):
    """One pass that writes the `.npy` of every `(tap, view)` in `paths`."""
    for weight in backbone.weights:  # an activation may well hide them
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise ValueError(f"a backbone's weights are finite numbers. Received: {backbone.name} "
                             f"with others in {weight.path!r}")
    taps = list(dict.fromkeys(tap for tap, _ in paths))
    images = keras.Input((image_size, image_size, 3), name="images", dtype="uint8")
    run, shapes = compiled(images, _tiled(backbone.extractor(taps), images, tiles), pooling)
    wanted = {(tap, view): (path, np.float16, shapes[tap]) for (tap, view), path in paths.items()}

    def write(found, view):
        for tap, values in found.items():
            if (tap, view) not in paths:
                continue
            if (values.view(np.uint16) & 0x7FFF).max() >= 0x7C00:  # infinity and what is no number
                raise ValueError(f"the features of tap {tap!r} are not finite in float32. "
                                 f"Received: {backbone.name}")
            files[tap, view].write(values)

    views = list(dict.fromkeys(view for _, view in paths))
    writing, start = None, 0
    with _written(wanted, source.num_examples) as files, ThreadPoolExecutor(1) as aside:
        for batch in batches(source, image_size, batch_size):
            for view in views:
                found = run(seen(batch, view, start))
                if writing:
                    writing.result()
                writing = aside.submit(write, found, view)  # while the next are computed
            start += len(batch)
        if writing:
            writing.result()


def augmentation(size, flip=True):
    """What RotNet's classifiers are trained on at 32 pixels: shifts by up to 4, mirrored at random.

    At other sizes an eighth of the side; black comes in.
    """
    return ClassificationLayer(flip, PadCrop(size, size // 8))


def seen(batch, view, start):
    """uint8 pictures, the data's from place `start` on, as a view of `feature_views` has them.

    `view` is False, True (mirrored) or "crop K", the K-th of the random ones.
    """
    if isinstance(view, str):
        layer = augmentation(batch.shape[1])
        places = np.arange(start, start + len(batch))
        numbers = draws.draws(0, int(view.removeprefix("crop ")), places, layer.num_draws)
        return keras.ops.convert_to_numpy(layer(batch, numbers)[0])
    return np.ascontiguousarray(batch[:, :, ::-1]) if view else batch


def _tiled(extractor, images, tiles):
    """The mean over the tiles of a picture of what an extractor makes of each."""
    if tiles == 1:
        return extractor(images)
    side = images.shape[1] // tiles
    x = keras.ops.reshape(images, (-1, tiles, side, tiles, side, 3))
    x = keras.ops.reshape(keras.ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, side, side, 3))
    return {tap: keras.ops.mean(keras.ops.reshape(
        keras.ops.cast(m, "float32"), (-1, tiles * tiles, *m.shape[1:])), 1)
            for tap, m in extractor(x).items()}


def _half(values):
    """float16, cut at its range (infinities stay, so that they are noticed)."""
    values = keras.ops.cast(values, "float32")
    cut = keras.ops.clip(values, -65504.0, 65504.0)
    return keras.ops.cast(keras.ops.where(keras.ops.isfinite(values), cut, values), "float16")


def compiled(images, maps, pooling):
    """A function from uint8 pictures to pooled float16 maps, both NumPy, and the shapes of these.

    Args:
        images: a keras.Input.
        maps: dict from tap to what a network makes of it.
        pooling: as of `pooled`.
    """
    model = keras.Model(images, maps)
    shapes = {tap: tuple(pooled(x, pooling).shape[1:]) for tap, x in maps.items()}

    def finished(maps):
        return {tap: _half(pooled(x, pooling)) for tap, x in maps.items()}

    def run(x):
        return finished(model(x, training=False))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        finish = tf.function(finished, jit_compile=True)  # one pass over the memory, not ten
        run = tf.function(lambda x: finish(model(x, training=False)), reduce_retracing=True)
    return (lambda x: {tap: keras.ops.convert_to_numpy(values)
                       for tap, values in run(keras.ops.convert_to_tensor(x)).items()}), shapes


def batches(source, image_size, batch_size):
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
