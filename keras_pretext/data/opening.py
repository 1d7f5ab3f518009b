"""`open`, which finds the source that a name, a folder or a file stands for."""

import difflib
import glob
import os
import pathlib
import re

from keras_pretext.data.source import SPLITS, DataError, Source
from keras_pretext.registry import unknown_name

DRAWN = ("scenes", "moving", "moving_pairs")
KINDS = ("tfds", "folder", "paths", "tfrecord", "npz", "pairs", *DRAWN)


def data_root():
    """The folder of prepared data: $KERAS_PRETEXT_DATA, or ../shared/data."""
    return pathlib.Path(os.environ.get("KERAS_PRETEXT_DATA", "../shared/data"))


def open(spec, split="train", root=None, links=True):  # noqa: A001
    """The source that `spec` names.

    Args:
        spec: a TFDS name ("cifar10_jpeg", "tfds:voc/2007") that is prepared under
            `$KERAS_PRETEXT_DATA/tfds` or in TFDS' own data folder; a path to a prepared TFDS
            version folder; "folder:PATH" (pictures at any depth, the first level are the
            classes); "paths:FILE" (a path a line, see `PathList`); "tfrecord:GLOB"; "npz:FILE"
            (`images`, `labels`); "pairs:FOLDER" (mined from video, see `PairSource`); "scenes"
            (embedded, drawn on the spot; "scenes:64" for another size); "moving" (scenes with
            masks of what moves); "moving_pairs" (pairs of patches, as mined). A path that exists
            is recognised by what it is.
        split: "train", "test", "validation" or whatever the data set has; of TFDS data also
            several, as "train+validation"; of pairs their kinds. A folder whose
            sub-folders, or TFRecords whose file names, are called after splits has those;
            otherwise it is one split, whatever the name.
        root: in place of `$KERAS_PRETEXT_DATA`.
        links: False passes over pictures of a folder that are links out of it.

    Raises:
        DataError (a ValueError): for what cannot be found or used.
    """
    if isinstance(spec, Source):
        return spec
    spec = str(spec)
    if not spec:
        raise DataError("the data has no name; one of the kinds "
                        f"{', '.join(KINDS)}, such as tfds:NAME. Received: ''")
    kind, colon, rest = spec.partition(":")
    if kind in DRAWN and rest and not rest.isdigit():
        raise DataError(f"the scenes' size is a number, such as scenes:64. Received: {spec!r}")
    if kind not in KINDS or not (colon or kind in DRAWN):
        kind, rest = _recognised(spec), spec
    if kind == "scenes":
        from keras_pretext.data.arrays import scenes_source

        return scenes_source(split, int(rest) if rest.isdigit() else 32)
    if kind == "moving":
        from keras_pretext.data.moving import moving_source

        return moving_source(split, int(rest) if rest.isdigit() else 32)
    if kind == "moving_pairs":
        from keras_pretext.data.moving import DrawnPairs

        return DrawnPairs(split, int(rest) if rest.isdigit() else 32)
    if kind == "pairs":
        from keras_pretext.data.pairs import PairSource

        return PairSource(rest, split)
    if kind == "npz":
        from keras_pretext.data.arrays import ArraySource

        return ArraySource.from_npz(rest, split)
    if kind == "tfrecord":
        from keras_pretext.data.records import RecordSource

        return RecordSource(_shards(os.path.expanduser(rest), split), name=spec, split=split)
    if kind == "paths":
        from keras_pretext.data.path_list import PathList

        return PathList(rest, split)
    if kind == "folder":
        from keras_pretext.data.image_folder import ImageFolder

        return ImageFolder(rest, split, links=links)
    from keras_pretext.data.tfds_source import open_tfds

    return open_tfds(rest, split, pathlib.Path(root) if root else data_root())


def _shards(pattern, split):
    """The files of a pattern or folder, of one split where their names tell splits."""
    if os.path.isdir(pattern):
        pattern = os.path.join(glob.escape(pattern), "*.tfrecord*")
    paths = sorted(path for path in glob.glob(pattern) if os.path.isfile(path))
    if not paths:
        raise DataError(f"no TFRecord file matches. Received: {pattern!r}")
    words = {path: set(re.split(r"[^a-z]+", os.path.basename(path).lower())) for path in paths}
    splits = set().union(*words.values()) & SPLITS
    if len(splits) > 1 and len(paths) > 1:
        paths = [path for path in paths if split in words[path]]
        if not paths:
            raise DataError(unknown_name(f"split of {pattern}", split, splits))
    return paths


def _recognised(spec):
    path = pathlib.Path(spec).expanduser()
    if path.is_dir():
        if any(path.glob("dataset_info.json")) or any(path.glob("*/dataset_info.json")):
            return "tfds"
        return "tfrecord" if any(path.glob("*.tfrecord*")) else "folder"
    if path.is_file():
        if path.suffix == ".npz":
            return "npz"
        if ".tfrecord" in path.name:
            return "tfrecord"
        raise DataError("a file is an .npz or a .tfrecord. " + f"Received: {spec!r}")
    if glob.has_magic(spec) and glob.glob(spec):
        return "tfrecord"
    if spec.startswith((".", "/", "~")) or path.suffix in (".npz", ".tfrecord"):
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise DataError(unknown_name("data path", spec, near))
    kind = spec.partition(":")[0]
    if kind != spec and difflib.get_close_matches(kind, KINDS, 1, 0.7):
        raise DataError(unknown_name("kind of data", kind, KINDS))
    return "tfds"
