"""Small folders of pairs mined from video, as far as `PairSource` reads them."""

import io

import numpy as np
from PIL import Image


def written(folder, patches, videos, pairs, kinds, parents):
    """Patches uint8 `(n, side, side, 3)`, the video of each; pairs, their kinds and parents."""
    import pyarrow as pa
    import tensorflow as tf
    from pyarrow import parquet

    (folder / "patches").mkdir(parents=True)
    for shard, part in enumerate(np.array_split(np.arange(len(patches)), 2)):
        with tf.io.TFRecordWriter(str(folder / "patches" / f"{shard:05d}.tfrecord")) as writer:
            for k in part:
                out = io.BytesIO()
                Image.fromarray(patches[k]).save(out, "PNG")
                feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[out.getvalue()]))
                writer.write(tf.train.Example(features=tf.train.Features(
                    feature={"image": feature})).SerializeToString())
    parquet.write_table(pa.table({"node": np.arange(len(videos)),
                                  "video": np.array(videos, "int32")}), folder / "nodes.parquet")
    a, b = np.array(pairs).T
    parquet.write_table(pa.table({
        "a": a, "b": b, "kind": pa.array(kinds).dictionary_encode(),
        "parent": np.array(parents, "int32")}), folder / "pairs.parquet")
    return folder
