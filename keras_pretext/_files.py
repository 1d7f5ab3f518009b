"""Files on any of TensorFlow's file systems (local, gs://, s3://), written whole or not at all."""

import contextlib
import os
import pathlib


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


def below(folder, suffixes, above=frozenset()):
    """Yields the files, at any depth of a local folder, whose suffix is among some.

    Hidden ones are passed over; links are followed, but for those that lead to a folder they are
    in.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from below(entry.path, suffixes, above | {real})
            elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                yield pathlib.Path(entry.path)


def as_text(name):
    """A file's name as UTF-8 can hold it: other bytes of it are written `\\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
