"""Frames of video files, with their times."""

import os
import pathlib
import zlib

import numpy as np

from keras_pretext._files import below

SUFFIXES = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"}
_ENDS = 1 << 16  # bytes of a file that its mark reads, at both ends


class VideoError(ValueError):
    """A video that cannot be used, or not from here on."""


def find(videos):
    """The files among files and folders (video files at any depth), sorted.

    Raises:
        ValueError: where a path does not exist, or there is none.
    """
    videos = [videos] if isinstance(videos, str | pathlib.Path) else list(videos)
    found = []
    for path in map(pathlib.Path, videos):
        if path.is_dir():
            found += below(path, SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise ValueError(f"there is no such video or folder. Received: {str(path)!r}")
    if not found:
        raise ValueError(f"there is no video ({', '.join(sorted(SUFFIXES))}) in these folders. "
                         f"Received: {[str(v) for v in videos]}")
    return sorted({str(path.resolve()) for path in found})


def mark(path):
    """A file's size and a checksum of its ends, a list: of another video it is another.

    None of one that cannot be read, which is told when its turn comes.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            ends = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            return [size, zlib.crc32(ends + file.read())]
    except OSError:
        return None


def frames(path, short_side):
    """Yields `(frame, time, (height, width))` of a file's first video stream, frames upright.

    Args:
        path: of the file.
        short_side: pixels to which frames are scaled.

    Yields:
        RGB uint8 `(height, width, 3)`; seconds; the height and width before scaling.

    Raises:
        VideoError: where nothing can be decoded, or, after some frames, where the file is damaged.
    """
    import av

    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise VideoError("it holds no video stream")
            stream = file.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or 25)
            for number, frame in enumerate(file.decode(stream)):
                size, turns = (frame.height, frame.width), frame.rotation // 90 % 4
                scale = short_side / min(size)
                height, width = (max(short_side, round(side * scale)) for side in size)
                image = frame.to_ndarray(format="rgb24", width=width, height=height)
                if turns:  # the phone was turned: so players turn what they show
                    image = np.ascontiguousarray(np.rot90(image, turns))
                    size = size[::-1] if turns % 2 else size
                yield image, number / rate if frame.time is None else frame.time, size
    except (av.error.FFmpegError, OSError, EOFError) as error:
        raise VideoError(str(error).splitlines()[0]) from error
