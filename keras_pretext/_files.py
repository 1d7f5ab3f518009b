"""Files on any of TensorFlow's file systems (local, gs://, s3://), written whole or not at all."""

import contextlib
import os


def gfile():
    import tensorflow as tf

    return tf.io.gfile


@contextlib.contextmanager
def written(path):
    """A path beside `path` to write to; it gets that name when the block ends without error."""
    beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.part")
    try:
        yield beside
        gfile().rename(beside, path, overwrite=True)
    finally:
        if gfile().exists(beside):
            gfile().remove(beside)


def put(path, content):
    """Writes bytes to a file."""
    with written(path) as beside, gfile().GFile(beside, "wb") as file:
        file.write(content)


def get(path):
    """The bytes of a file."""
    with gfile().GFile(path, "rb") as file:
        return file.read()
