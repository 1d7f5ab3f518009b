"""Videos made for tests: textured squares that move over a smooth ground."""

import fractions

import numpy as np


def write_video(path, frames, rate=30, times=None):
    """RGB uint8 frames to a file without loss; `times` in milliseconds for uneven ones."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        base = fractions.Fraction(1, 1000) if times is not None else fractions.Fraction(1, rate)
        stream.codec_context.time_base = stream.time_base = base
        for k, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = k if times is None else times[k], base
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return path


def texture(seed, side, cell=(12, 12)):
    """Random tiles with corners to follow, uint8 `(side, side, 3)`."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 255, (-(-side // cell[0]), -(-side // cell[1]), 3))
    return np.kron(tiles, np.ones((*cell, 1)))[:side, :side].astype(np.uint8)


def moving(object_seed, start, step, frames, side=64, height=160, width=240, ground=0,
           camera=(0, 0), cell=(12, 12)):
    """Frames of a square at `start + k step` (x, y) over a smooth ground that the camera pans."""
    import cv2

    rng = np.random.default_rng([7, ground])
    wide = rng.integers(60, 200, (height // 8 + 20, width // 8 + 20, 3)).astype(np.uint8)
    wide = cv2.resize(wide, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    square, out = texture(object_seed, side, cell), []
    for k in range(frames):
        x, y = camera[0] * k + 40, camera[1] * k + 40
        frame = wide[y:y + height, x:x + width].copy()
        left, top = start[0] + k * step[0], start[1] + k * step[1]
        frame[top:top + side, left:left + side] = square
        out.append(frame)
    return out
