"""What commands have in common."""

import json
import pathlib
import tempfile

PICTURES = (".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".pdf")  # some that Pillow writes


def settings(pairs):
    """`["a=1", "b=word"]` to `{"a": 1, "b": "word"}`."""
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE. Received: {pair!r}")
        try:
            out[name] = json.loads(value)
        except json.JSONDecodeError:
            out[name] = value
    return out


def check_target(path):
    """Makes the folder of a file that a long work will write.

    Raises:
        ValueError: where the file cannot be written there.
    """
    path = pathlib.Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(f"the result cannot be written there ({error.strerror}). "
                         f"Received: {path}") from None


def check_picture(path):
    """`check_target` of a picture that a long work will draw.

    Raises:
        ValueError: where it cannot be written there, or as a file of that name.
    """
    from PIL import Image

    path = pathlib.Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE and not path.is_dir():
        raise ValueError(f"the name of a picture ends in {', '.join(PICTURES)} or what else Pillow "
                         f"writes. Received: {path}")
    check_target(path)


def check_count(count):
    """Raises ValueError for a `--count` of nothing."""
    if count < 1:
        raise ValueError(f"--count is at least 1. Received: {count}")


def read_json(path):
    """What a JSON file holds. Raises ValueError where it is none."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"this file is no JSON ({error}). Received: {path}") from None


def read_model(name):
    """A model that evaluation takes, from a run folder or the zoo."""
    from keras_pretext.zoo.entry import pretext_model

    return pretext_model(name)


def read_picture(path):
    """A picture file as uint8 (height, width, 3)."""
    from keras_pretext.data.decode import UNREADABLE, decode, reason

    try:
        return decode(pathlib.Path(path).read_bytes())
    except UNREADABLE as error:
        raise ValueError(f"not a readable picture ({reason(error)}). Received: {path}") from None
