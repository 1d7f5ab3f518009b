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


def below(folder, suffixes, links=True):
    """Yields the files, at any depth of a local folder, whose suffix is among some.

    Hidden ones, and folders that may not be read, are passed over. With `links`, those to folders
    are followed, after all that is no link: no folder is looked into twice.
    """
    folders, linked, seen = [folder], [], set()
    while folders or linked:
        place = folders.pop() if folders else linked.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        with contextlib.suppress(PermissionError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(OSError):  # such as a link to itself
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif links and entry.is_dir():
                        linked.append(entry.path)
                    elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                        yield pathlib.Path(entry.path)


def as_text(name):
    """A file's name as UTF-8 can hold it: other bytes of it are written `\\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
