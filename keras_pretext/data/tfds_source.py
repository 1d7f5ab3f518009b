"""Prepared TensorFlow Datasets folders, read without ever touching the network."""

import os
import pathlib
import re

from keras_pretext.data.records import RecordSource
from keras_pretext.data.source import DataError
from keras_pretext.registry import unknown_name


def _version(folder):
    return [int(part) for part in re.findall(r"\d+", folder.name)]


def prepared(folder):
    """The newest version folder at or below `folder`, or None.

    Raises:
        DataError: where several configs of a data set lie there.
    """
    if (folder / "dataset_info.json").exists():
        return folder
    found = [p.parent for p in folder.glob("*/dataset_info.json")]
    found = found or [p.parent for p in folder.glob("*/*/dataset_info.json")]
    configs = sorted({p.parent.name for p in found})
    if len(configs) > 1:
        raise DataError("this data set is prepared in several configs; name one: "
                        f"{', '.join(f'{folder.name}/{config}' for config in configs)}. "
                        f"Received: {folder.name!r}")
    return max(found, key=_version) if found else None


def open_tfds(name, split, root):
    """The source of a prepared folder or of a name that is prepared under a known root.

    Args:
        name: a path, or a TFDS name: `name`, `name/config`, either with `:version`.
        split: as the data set calls it; several with `+` between them.
        root: the folder whose `tfds` sub-folder is looked into first.

    Raises:
        DataError: not prepared, no such split, no picture.
    """
    places = [root / "tfds", pathlib.Path(os.environ.get("TFDS_DATA_DIR",
                                                         "~/tensorflow_datasets")).expanduser()]
    own, below = pathlib.Path(name).expanduser(), name.replace(":", "/")
    folder = prepared(own) if name and own.is_dir() else None
    for place in places:
        folder = folder or (prepared(place / below) if name and (place / below).is_dir() else None)
    if folder is None:
        known = {p.name for place in places if place.is_dir() for p in place.iterdir()
                 if any(p.glob("*/dataset_info.json")) or any(p.glob("*/*/dataset_info.json"))}
        raise DataError(f"{unknown_name('data set', name, known | {'scenes'})}. Looked in "
                        f"{', '.join(map(str, places))}; set KERAS_PRETEXT_DATA, or prepare it "
                        f"with `tfds build {name}`.")
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    parts = split.split("+")
    for part in parts:
        if part not in builder.info.splits:
            raise DataError(unknown_name(f"split of {builder.name}", part, builder.info.splits))
    if len(set(parts)) < len(parts):
        raise DataError(f"every split is named once. Received: {split!r}")
    if builder.info.file_format.value != "tfrecord":
        raise DataError("a prepared TFDS folder in the tfrecord format is needed. "
                        f"Received: {builder.info.file_format.value} in {folder}")
    # in alphabetical order: that of `features` differs from process to process
    features = dict(sorted(builder.info.features.items()))
    pictures = sorted((k for k, f in features.items() if isinstance(f, tfds.features.Image)),
                      key=lambda k: features[k].shape[-1] == 1)  # masks come last
    if not pictures:
        raise DataError(f"this data set has no picture. Received: {sorted(features)} in {folder}")
    labels = [k for k, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    usual = builder.info.supervised_keys or ()
    image = _chosen("image", pictures, usual)
    label = _chosen("label", labels, usual) if labels else None
    shape = features[image].shape
    uniform = tuple(shape) if None not in shape and shape[-1] == 3 else None
    paths = [path for part in parts for path in builder.info.splits[part].filepaths]
    lengths = [length for part in parts for length in builder.info.splits[part].shard_lengths]
    return RecordSource(paths, builder.name, split, image, label,
                        features[label].names if label else None, uniform,
                        multi_labels=_multi_labels(features), objects=_objects(features),
                        dense=_dense(features), lengths=lengths)


def _chosen(name, candidates, usual):
    """Of several features the one that TFDS trains on, else that of the usual name, else the first.
    """
    return next((k for k in (*usual, name) if k in candidates), candidates[0])


def _multi_labels(features):
    """`multi_labels` of `RecordSource` for features such as PASCAL VOC's or COCO's, or None."""
    import tensorflow_datasets as tfds

    def names(feature):
        inner = getattr(feature, "feature", None)
        return inner.names if isinstance(inner, tfds.features.ClassLabel) else None

    for key, feature in features.items():
        inner = getattr(feature, "feature", None)
        if (isinstance(inner, tfds.features.FeaturesDict) and "label" in inner
                and isinstance(inner["label"], tfds.features.ClassLabel)):
            difficult = (f"{key}/is_difficult",) if "is_difficult" in inner else ()
            return (tuple(inner["label"].names), f"{key}/label", *difficult)
    found = [key for key, feature in features.items() if names(feature)]
    return (tuple(names(features[found[0]])), found[0]) if found else None


def _objects(features):
    """`objects` of `RecordSource` for features such as PASCAL VOC's or COCO's, or None."""
    import tensorflow_datasets as tfds

    for key, feature in features.items():
        inner = getattr(feature, "feature", None)
        if isinstance(inner, tfds.features.FeaturesDict) and {"label", "bbox"} <= set(inner):
            parts = {"boxes": "bbox", "labels": "label", "difficult": "is_difficult",
                     "crowd": "is_crowd", "area": "area"}
            return tuple(inner["label"].names), {ours: f"{key}/{theirs}" for ours, theirs
                                                 in parts.items() if theirs in inner}
    return None


def _dense(features):
    """`dense` of `RecordSource`: a picture of one channel is a mask, a tensor `depth` is metres."""
    import tensorflow_datasets as tfds

    found = {}
    for key, feature in features.items():
        if isinstance(feature, tfds.features.Image) and feature.shape[-1] == 1 and key != "image":
            found["mask"] = key
    if "depth" in features and isinstance(features["depth"], tfds.features.Tensor):
        found["depth"] = ("depth", features["depth"].shape)
    return found
