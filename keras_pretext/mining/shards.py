"""A shard of videos: their patches and masks as TFRecords, and a table of the patches' places."""

import collections
import contextlib
import io
import json
import os

import numpy as np

from keras_pretext._files import get, gfile, put, written
from keras_pretext.mining.tracks import Mask, mine_video
from keras_pretext.mining.video import VideoError

PATCHES, MASKS, WORK = "patches", "masks", "work"
PLACES = ("frame", "time", "left", "top", "width", "height")


def patches_path(out, shard):
    return os.path.join(out, PATCHES, f"{shard:05d}.tfrecord")


def masks_path(out, shard):
    return os.path.join(out, MASKS, f"{shard:05d}.tfrecord")


def work_path(out, stage, piece, suffix=".npz"):
    """What a stage has written for a piece of work; it is written last."""
    return os.path.join(out, WORK, stage, f"{piece:05d}{suffix}")


def save(path, array=None, **arrays):
    """Writes an array, or several by name."""
    file = io.BytesIO()
    np.savez(file, **arrays) if array is None else np.save(file, array)
    put(path, file.getvalue())


def load(path):
    """An array, mapped where it is on a disk; or the arrays of an .npz."""
    if os.path.exists(path):
        return np.load(path, mmap_mode="r")
    return np.load(io.BytesIO(get(path)))


def mine_shard(out, shard, first, videos, recipe):
    """Mines the tracks of some videos.

    Args:
        out: the folder.
        shard: number of the shard.
        first: number of its first video.
        videos: their paths.
        recipe: a MiningRecipe.
    """
    import tensorflow as tf

    rows, about = collections.defaultdict(list), []
    with contextlib.ExitStack() as stack:
        patch_file, mask_file = (
            wanted and stack.enter_context(tf.io.TFRecordWriter(stack.enter_context(written(path))))
            for path, wanted in ((patches_path(out, shard), True),
                                 (masks_path(out, shard), recipe.masks)))
        for video, path in enumerate(videos, first):
            counts, status = collections.Counter(), "ok"
            try:
                for found in mine_video(path, recipe, counts):
                    if isinstance(found, Mask):
                        mask_file.write(_example(image=found.jpeg, segmentation_mask=found.png,
                                                 video=video, frame=found.frame))
                        continue
                    for end in found:
                        patch_file.write(_example(image=end.jpeg))
                        rows["video"].append(video)
                        for name in PLACES:
                            rows[name].append(getattr(end, name))
            except VideoError as error:
                status = str(error)
            about.append({"path": path, "status": status if status != "ok" else _status(counts),
                          "counts": dict(counts)})
    save(work_path(out, "tracks", shard), about=json.dumps(about),
         video=np.array(rows["video"], np.int32),
         **{name: np.array(rows[name]) for name in PLACES})


def _status(counts):
    """Why a video gave nothing, or "ok"."""
    if counts["tracks"]:
        return "ok"
    if not counts["looked"]:
        return f"too short: {counts['frames']} frames"
    reasons = {"no_points": "its frames have no points to follow",
               "little_motion": "too little moves in it", "much_motion": "too much moves in it",
               "lost": "its tracks were lost", "left": "its tracks left the frame",
               "uneven": "its frames are uneven in time",
               "cut_short": "it ends before a track does"}
    return reasons[max(reasons, key=lambda name: counts[name])]


def read_tracks(out, shard):
    """A shard's table: `about`, a list with path, status and counts of each video; arrays `video`
    int32, `frame`, `time`, `left`, `top`, `width`, `height`, two rows a track."""
    with load(work_path(out, "tracks", shard)) as file:
        return {name: json.loads(str(file[name])) if name == "about" else file[name]
                for name in file.files}


def read_patches(out, shard, every=1, wanted=None):
    """JPEG of a shard's patches: of each `every`-th, or of the wanted rows, ascending."""
    import tensorflow as tf

    found, wanted = [], None if wanted is None else set(wanted)
    for k, record in enumerate(tf.data.TFRecordDataset(patches_path(out, shard))):
        if k % every == 0 if wanted is None else k in wanted:
            example = tf.train.Example.FromString(record.numpy())
            found.append(example.features.feature["image"].bytes_list.value[0])
    return found


def finished(out, stage):
    """Numbers of the pieces of work that a stage has written."""
    names = gfile().listdir(os.path.join(out, WORK, stage))
    return {int(name[:5]) for name in names if name[:5].isdigit()}


def _example(**features):
    import tensorflow as tf

    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
               if isinstance(value, bytes) else
               tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
               for name, value in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)
