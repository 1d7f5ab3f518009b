"""Object proposals by selective search (Uijlings et al., IJCV 2013)."""

import ctypes
import ctypes.util
import pathlib
import tempfile

import numpy as np

from keras_pretext.data.source import digest
from keras_pretext.evaluation.features import cache_root

MODES = ("fast", "quality")


def selective_search(image, mode="fast", max_side=500, count=2000, min_size=20):
    """Boxes that may hold an object, best first, float32 `(n, 4)` in pixels of the picture.

    Args:
        image: uint8 `(H, W, 3)`.
        mode: "fast" or "quality", the paper's two.
        max_side: larger pictures are searched at this size; VOC's are 500.
        count: how many at most; 2000 in Fast R-CNN.
        min_size: boxes with a shorter side, in pixels searched, are left out.

    Raises:
        ImportError: without OpenCV's contributed modules.
        ValueError: for another mode.
    """
    segmentation = _opencv()
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}. Received: {mode!r}")
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(image[..., ::-1]), size, interpolation=cv2.INTER_AREA)
    # boxes of different ways to group are mixed at random, by the C library
    ctypes.CDLL(ctypes.util.find_library("c") or ctypes.util.find_library("msvcrt")).srand(1)
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(small)
    search.switchToSelectiveSearchFast() if mode == "fast" else (
        search.switchToSelectiveSearchQuality())
    left, top, wide, high = np.asarray(search.process(), np.float32).reshape(-1, 4).T
    kept = np.minimum(wide, high) >= min(min_size, *size)
    boxes = np.stack([top, left, top + high, left + wide], 1)[kept][:count]
    return (boxes * np.float32([height / size[1], width / size[0]] * 2)).astype("float32")


def proposals(source, cache=True, report=None, **options):
    """A list of `selective_search` boxes, one array a picture of a source.

    Args:
        cache: keep them under `cache_root()` and use them again.
        report: called with the number of pictures done, now and then.
        options: of `selective_search`.
    """
    _opencv()
    root = cache_root() / "proposals" if cache else pathlib.Path(tempfile.mkdtemp())
    key = digest("1", source.fingerprint(), source.split, str(sorted(options.items())))[:32]
    path = root / f"{key}.npz"
    if cache and path.exists():
        with np.load(path) as file:
            return np.split(file["boxes"], file["ends"][:-1])
    found = []
    for k, images in source.pictures(np.arange(source.num_examples)):
        found += [selective_search(image, **options) for image in images]
        if report and (len(found) % 50 < len(k) or len(found) == source.num_examples):
            report(len(found))
    if cache:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, boxes=np.concatenate(found), ends=np.cumsum([len(x) for x in found]))
        part.replace(path)
    return found


def _opencv():
    try:
        from cv2.ximgproc import segmentation
    except ImportError:
        raise ImportError("selective search needs OpenCV with its contributed modules: "
                          "pip install 'keras_pretext[detection]'") from None
    return segmentation
