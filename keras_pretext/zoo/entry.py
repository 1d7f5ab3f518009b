"""Reading, checking and writing an entry: `load`, `tables`, `verify`, `publish`, `add_metrics`,
`set_aside`.
"""

import os
import pathlib
import re
import shutil

import numpy as np

from keras_pretext.zoo import store
from keras_pretext.zoo.store import ZooError

# Largest difference of a golden answer, as a share of the largest value of its tap. Weights off
# by one unit in float16's last place give about 1e-3, a wrong picture or network 1e-1 and more.
TOLERANCE = 2e-3
# What float16 weights may change; where they change more, float32 is written.
_ROUNDING = 5e-3
# Of a card, what `publish` finds by itself.
_FOUND = ("name", "version", "task", "backbone", "taps", "image_size", "parameters", "storage",
          "golden_tolerance")
# The folders of an absolute path, alone or after such as `data=npz:`; those of a URL are none.
_PLACE = re.compile(r"(?:(?<=[\s\"'=:\[])|^)/(?:[^/\s\"']+/)+")


def load(name, taps=None, pooling=None, head=False, trainable=False):
    """A published model, ready to use.

    Args:
        name: "rotnet_nin", "rotnet_nin@1", the folder of an entry or a file in it, the folder
            of a finished run, or a `.keras` file that training wrote.
        taps: a tap name (the model gives a tensor), a list of names or None for all (a dict).
        pooling: None for maps, "avg" or "max" for `(batch, channels)` vectors.
        head: the pretext head's answer to each image instead (for RotNet: logits of the angles).
            A task whose head reads several pictures at once gives its whole PretextModel.
        trainable: False freezes every weight.

    Returns:
        a Keras model on RGB images, uint8 or float in 0..255, `(batch, height, width, 3)` of any
        size; normalisation is part of it. It has `.backbone` and `.task`.

    Raises:
        ValueError: for an unknown name (with the nearest), a damaged or unsafe entry, an unknown
            tap or pooling.
    """
    if head and (taps is not None or pooling is not None):
        raise ValueError("head=True gives the head's answer; taps and pooling are for features. "
                         f"Received: taps={taps!r}, pooling={pooling!r}")
    model = pretext_model(name)
    if head:
        out = with_head(model) or model
    else:
        out = model.backbone.extractor(taps, pooling)
    model.trainable = out.trainable = trainable
    if out is not model:
        # not tracked: an extractor's weights are those that its taps need
        object.__setattr__(out, "backbone", model.backbone)
        object.__setattr__(out, "task", model.task)
    return out


def pretext_model(name):
    """The PretextModel of an entry, head included; names and errors as for `load`."""
    from keras_pretext.zoo import weights

    if str(name).endswith(".keras"):
        return weights.read_keras(name)
    run = pathlib.Path(name)
    if (run / "final" / "model.keras").is_file():
        return weights.read_keras(run / "final" / "model.keras")
    if (run / "manifest.json").is_file():
        raise ZooError("this run is not finished: its command, or `keras-pretext pretrain "
                       f"FOLDER`, goes on with it. Received: {str(name)!r}")
    folder = store.find(name)
    file = store.weights_of(folder)
    store.check_sums(folder, ("config.json", file))
    model = weights.build(store.read_json(folder / "config.json"))
    weights.load(folder / file, model)
    return model


def tables(name):
    """What the task learnt from the data beside the weights: seeds, assignments, clusters.

    Args:
        name: as for `load`, but no `.keras` file.

    Returns:
        dict of NumPy arrays, those of the run's `final/tables.npz`; empty where it had none.

    Raises:
        ValueError: for an unknown name, or a file that is damaged, missing or holds objects.
    """
    from keras_pretext.zoo import weights

    folder = store.find(name)
    listed = store.read_json(folder / "sha256.json")
    if store.TABLES not in listed and not (folder / store.TABLES).exists():
        return {}
    store.check_sums(folder, (store.TABLES,))
    return weights.read_arrays(folder / store.TABLES)


def with_head(model):
    """A model from images of any size to the logits of a PretextModel; None where there is none.

    It holds for heads that pool one tap of one picture and classify it.
    """
    import keras

    named = {layer.name: layer for layer in model.layers}
    if not {"pool", "logits"} <= set(named):
        return None
    tap = getattr(model.task, "tap", None) or [*model.backbone.taps][-1]
    logits = named["logits"](named["pool"](model.backbone.output[tap]))
    return keras.Model(model.backbone.input, logits, name=f"{model.name}_per_image")


def golden_images(size):
    """Two fixed uint8 pictures, a ramp with noise: `(2, size, size, 3)`."""
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3))
    ramp = np.linspace(0, 255, size)[:, None, None]
    return (0.6 * ramp + 0.4 * noise).astype(np.uint8)


def golden_answer(model, images):
    """Every tap, averaged over its map, and the head's `logits` where it reads one picture."""
    import keras

    answer = model.backbone.extractor(pooling="avg")(images, training=False)
    head = with_head(model)
    if head is not None:
        answer = {**answer, "logits": head(images, training=False)}
    return {k: np.asarray(keras.ops.convert_to_numpy(v), np.float32) for k, v in answer.items()}


def difference(expected, found):
    """The largest difference of two answers, each as a share of the largest value expected.

    Infinite where an answer is missing, of another shape, or not finite.
    """
    worst = []
    for name, value in expected.items():
        if name not in found or np.shape(found[name]) != value.shape:
            return float("inf")
        if not (np.isfinite(value).all() and np.isfinite(found[name]).all()):
            return float("inf")
        worst.append(float(np.abs(found[name] - value).max() / max(1e-6, np.abs(value).max())))
    return max(worst, default=float("inf"))


def verify(name):
    """Checks every sum, then repeats the golden pictures through the model and the SavedModel.

    Through the SavedModel they go three times: as arrays to `features` and `images`, and as PNG
    files to `serving_default`. Its graph is run, which may read and write files: verify what
    comes from somebody you trust.

    Returns:
        dict: `largest_difference` (share of a tap's largest value), `files` checked, and the
        `signatures` that answered.

    Raises:
        ValueError: for a damaged entry or another answer.
    """
    from keras_pretext.training.precision import precision
    from keras_pretext.zoo import weights

    folder = store.find(name)
    files = store.check_sums(folder)
    golden = weights.read_arrays(folder / "golden.npz")
    images = golden.pop("images", None)
    if images is None or not golden:
        raise ZooError(f"golden.npz holds `images` and an answer. Received: {sorted(golden)}")
    card, config = (store.read_json(folder / f"{file}.json") for file in ("card", "config"))
    for field in ("task", "backbone"):
        if card.get(field) != config.get(field):
            raise ZooError(f"the card tells of another {field} than config.json. "
                           f"Received: {card.get(field)!r}")
    tolerance = card.get("golden_tolerance", TOLERANCE)
    with precision("float32"):
        answers = {"model": golden_answer(pretext_model(folder), images)}
    if (folder / "saved_model").is_dir() and _has_tensorflow():
        import tensorflow as tf

        from keras_pretext.serving.signatures import ask

        try:
            answers.update(ask(folder / "saved_model", images))
        except (OSError, KeyError, tf.errors.OpError) as error:
            reason = (str(error).strip().splitlines() or [""])[-1].strip()
            raise ZooError(f"the SavedModel cannot be loaded, it belongs to other weights or is "
                           f"damaged ({reason}). Received: {folder}") from None
    worst = 0.0
    for by, answer in answers.items():
        expected = golden if by == "model" else {k: v for k, v in golden.items() if k != "logits"}
        off = difference(expected, answer)
        if not off <= tolerance:
            raise ZooError(f"the golden pictures give another answer by the {by}: off by {off:.2g} "
                           f"of the largest feature, {tolerance:g} is allowed. Received: {folder}")
        worst = max(worst, off)
    return {"largest_difference": worst, "files": files,
            "signatures": sorted(k for k in answers if k != "model")}


def _has_tensorflow():
    import importlib.util

    return importlib.util.find_spec("tensorflow") is not None


def publish(model, name, root="zoo", card=None, run=None, version=None, image_size=None,
            saved_model=True):
    """Writes an entry `<root>/<name>/<version>/`: beside, verified there, then renamed.

    Weights are written as float16, or as float32 where the golden answers tell them apart.

    Args:
        model: a PretextModel, or the folder of a finished run.
        name: of the entry.
        root: the zoo's folder.
        card: fields of the card: metrics, paper, licence, limits ... (`card.Card`).
        run: the run folder that the model comes from, for the card's provenance and the tables.
        version: integer; the next free one by default. Versions are never overwritten.
        image_size: side in pixels at which encoded pictures are served; the task's by default.
        saved_model: also write the SavedModel (needs TensorFlow).

    Returns:
        the entry's folder, a pathlib.Path.
    """
    from keras_pretext.image.framing import checked_side
    from keras_pretext.training.precision import precision
    from keras_pretext.zoo import card as cards
    from keras_pretext.zoo import weights

    store.check_name(name)
    if isinstance(model, str | os.PathLike):
        from keras_pretext.training.runs import load_run

        run, model = run or model, load_run(model)
    for attribute in ("task", "backbone"):
        if not hasattr(model, attribute):
            raise ZooError("what is published is a PretextModel (task.attach(backbone)) or a run "
                           f"folder. Received: {type(model).__name__}")
    shelf = pathlib.Path(root) / name
    taken = store.versions(shelf) if shelf.is_dir() else []
    version = (taken[-1] + 1 if taken else 1) if version is None else version
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ZooError(f"a version is an integer from 1 on. Received: {version!r}")
    if version in taken:
        raise ZooError(f"{name} has that version, and versions are never overwritten; the next is "
                       f"{taken[-1] + 1}. Received: {version}")
    config = weights.config_of(model)
    size = model.task.image_size if image_size is None else checked_side(image_size)
    fields = _fields(name, run, model, card or {})  # before anything is computed or written

    with store.Draft(shelf / str(version)) as draft, precision("float32"):
        store.write_json(draft / "config.json", config)
        images = golden_images(size)
        exact = weights.build(config)
        exact.set_weights(model.get_weights())
        for dtype in ("float16", "float32"):
            weights.save(draft / store.WEIGHTS, exact, dtype)
            stored = weights.build(config)  # what is measured is what is saved
            weights.load(draft / store.WEIGHTS, stored)
            answer = golden_answer(stored, images)
            change = difference(golden_answer(exact, images), answer)
            if change <= _ROUNDING:
                break
        else:
            raise ZooError("the model read back from disk gives another answer; are its features "
                           f"finite? Received: a difference of {change:.2g}")
        np.savez_compressed(draft / "golden.npz", images=images, **answer)
        if run is not None and (pathlib.Path(run) / "final" / store.TABLES).exists():
            shutil.copyfile(pathlib.Path(run) / "final" / store.TABLES, draft / store.TABLES)
            weights.read_arrays(draft / store.TABLES)  # whole, and plain arrays
        full = cards.Card(**{
            "name": name, "version": version, **config, "image_size": size,
            "taps": {t.name: {"channels": t.channels, "stride": t.stride}
                     for t in stored.backbone.taps.values()},
            "parameters": stored.count_params(), "golden_tolerance": TOLERANCE,
            "storage": {"dtype": dtype, "largest_change": change}, **fields})
        store.write_json(draft / "card.json", full.to_dict())
        (draft / "README.md").write_text(cards.render(full.to_dict()))
        if saved_model:
            from keras_pretext.serving.signatures import export

            export(stored, draft / "saved_model", size, weights=draft / store.WEIGHTS)
            (draft / store.WEIGHTS).unlink()  # one of its assets now
        store.write_json(draft / "sha256.json", {
            file: store.sha256(draft / file) for file in store.files_of(draft)})
        verify(draft)
    return shelf / str(version)


def add_metrics(name, metrics=(), over_training=(), limits=None):
    """Puts results that were measured later on the card of an entry; its weights stay as they are.

    The entry is written anew beside, its sums compared, and then takes the other's place.

    Args:
        name: as for `load`, of an entry.
        metrics: a list of `evaluation.ProbeResult.to_dict()`.
        over_training: the rows of `evaluation.over_training`, of the run that made the entry.
            Of both, those that the card has already are passed over.
        limits: what the card says instead of its former limits, where the results change them.

    Returns:
        how many were added.

    Raises:
        ValueError: for an unknown or damaged entry, or metrics that cannot be read later.
    """
    from keras_pretext.zoo import card as cards

    cards.check({"metrics": metrics, "over_training": over_training})
    folder = store.find(name)
    store.check_sums(folder)
    card = store.read_json(folder / "card.json")
    count, own = 0, {m["settings"].get("weights") for m in card.get("metrics") or ()
                     if m.get("settings") and cards.weights_of(m, card["name"]) == "this entry"}
    if metrics:
        own = {*own, _digest(pretext_model(folder))} - {None}
    for field, found in (("metrics", _without_places(_told(metrics, card["name"], own))),
                         ("over_training", over_training)):
        known = card.get(field) or []
        new = [row for row in found if row not in known]
        if new:
            card[field] = [*known, *new]
        count += len(new)
    if not count and limits in (None, card.get("limits")):
        return 0
    if limits is not None:
        card["limits"] = limits
    with store.Draft(folder, replace=True) as draft:
        shutil.copytree(folder, draft, dirs_exist_ok=True)
        store.write_json(draft / "card.json", card)
        (draft / "README.md").write_text(cards.render(card))
        sums = store.read_json(draft / "sha256.json")
        sums.update({file: store.sha256(draft / file) for file in ("card.json", "README.md")})
        store.write_json(draft / "sha256.json", sums)
        store.check_sums(draft)
    return count


def set_aside(run, name, root="zoo", metrics=(), limits=None):
    """Writes `<root>/tried/<name>.json`: what came of a run that is not published, for the
    scoreboard. A former file of that name is replaced.

    Args:
        run: the folder of a finished run.
        name: the entry that it would have been.
        root: the zoo's folder.
        metrics: a list of `evaluation.ProbeResult.to_dict()`, of this run and of random weights.
        limits: why it is not published, in a sentence.

    Returns:
        the file, a pathlib.Path.

    Raises:
        ValueError: for a name that is none, a run that is not finished, or nothing measured.
    """
    from keras_pretext.training.checkpoint import write_atomically
    from keras_pretext.training.runs import load_run

    store.check_name(name)
    if not metrics:
        raise ZooError("what was tried has a measured number: --metrics takes what `probe --json` "
                       f"wrote. Received: none for {name}")
    fields = _fields(name, run, load_run(run), {"metrics": metrics, "limits": limits or None})
    task, backbone = ({"name": fields["recipe"][part][0], "config": fields["recipe"][part][1]}
                      for part in ("task", "backbone"))
    path = pathlib.Path(root) / store.TRIED / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: store.write_json(
        part, {"name": name, "task": task, "backbone": backbone, **fields}))
    return path


def _fields(name, run, model, given):
    """The card's fields that are known: what the run tells and what is given, which goes before.

    Raises:
        ValueError: for fields that no card has or that are not the caller's to give, or metrics
            that cannot be read later.
    """
    from keras_pretext.zoo import card as cards

    for field in _FOUND:
        if field in given:
            raise ZooError(f"a card's {', '.join(_FOUND)} are of the model itself and not to be "
                           f"given. Received: {field}={given[field]!r}")
    fields = {**_provenance(run, model.task), **given}
    cards.check(fields)
    if fields.get("metrics"):
        fields["metrics"] = _told(fields["metrics"], name, {_digest(model)})
    return _without_places(fields)


def _told(metrics, name, own):
    """Metrics as the card `name` holds them: each says whose weights it is of.

    Args:
        own: digests of the entry's weights, as metrics have them (`settings["weights"]`).

    Raises:
        ZooError: for one that was measured at a place, on other weights.
    """
    from keras_pretext.zoo import card as cards

    for metric in metrics:
        settings = metric.get("settings") or {}
        place = settings.get("weights_from") or ""
        if os.sep in place and settings.get("weights") not in own:
            raise ZooError(f"this metric is of other weights than those of {name}: probe the entry "
                           f"by its name, or say with `probe --label` what they are (supervised, "
                           f"...; no {os.sep!r} in it). Received: {metric['protocol']} of {place}")
    return [{**metric, "settings": {
        **(metric.get("settings") or {}), "weights_from": cards.weights_of(metric, name)}}
            for metric in metrics]


def _digest(model):
    from keras_pretext.evaluation.features import weights_digest

    return weights_digest(model.backbone)[:16]


def _without_places(value):
    """A copy whose strings name files and folders of this host without the folders they are in."""
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(v) for v in value]
    return _PLACE.sub("", value) if isinstance(value, str) else value


def _provenance(run, task):
    """The card's fields that a run folder knows."""
    if run is None:
        return {}
    run = pathlib.Path(run)
    manifest = store.read_json(run / "manifest.json")
    metrics = store.read_json(run / "final" / "metrics.json")
    recipe = {**manifest["recipe"]}
    if manifest.get("initial"):  # with its version: a name alone is another model one day
        recipe["initial"] = manifest["initial"]
    return {"data": manifest["data"], "recipe": recipe,
            "command": re.sub(r" --out[ =]\S+", "", manifest["command"]),
            "versions": manifest["versions"],
            "seed": manifest["recipe"]["seed"], "hardware": manifest["hardware"],
            "images_seen": metrics["images_seen"], "wall_seconds": metrics["wall_seconds"],
            "pretext": {**{k: v for k, v in metrics.items() if k.startswith("test_")},
                        **{f"chance_{k}": v for k, v in task.chance.items()
                           if f"test_{k}" in metrics}}}
