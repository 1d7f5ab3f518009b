"""From a video to patches that move, followed by a KCF tracker (Henriques et al., TPAMI 2015)."""

import collections
import dataclasses

import cv2
import numpy as np

from keras_pretext.mining import motion
from keras_pretext.mining.video import VideoError, frames


@dataclasses.dataclass(frozen=True)
class Patch:
    """An end of a track: its frame's number and time, its place in the video's pixels, JPEG."""

    frame: int
    time: float
    left: float
    top: float
    width: float
    height: float
    jpeg: bytes


@dataclasses.dataclass(frozen=True)
class Mask:
    """A frame as JPEG, and as PNG what moves in it."""

    frame: int
    jpeg: bytes
    png: bytes


class _Track:
    """A window that is being followed; `end` says why it is not any more."""

    def __init__(self, frame, small, left, top, number, time, size, recipe):
        self._recipe, self._times, self.age, self.end = recipe, [time], 1, None
        self.first = _patch(frame, left, top, number, time, size, recipe)
        self._scale = recipe.window / recipe.tracker_window
        self._tracker = cv2.TrackerKCF.create()
        self._tracker.init(small, (round(left / self._scale), round(top / self._scale),
                                   recipe.tracker_window, recipe.tracker_window))

    def follow(self, frame, small, number, time, size):
        recipe = self._recipe
        self.age += 1
        self._times.append(time)
        found, place = self._tracker.update(small)
        if not found:
            self.end = "lost"
            return
        left, top = (round(start * self._scale) for start in place[:2])
        height, width = frame.shape[:2]
        seen = [max(0, min(start + recipe.window, side) - max(start, 0))
                for start, side in ((left, width), (top, height))]
        if seen[0] * seen[1] < recipe.inside * recipe.window**2:
            self.end = "left"
        elif self.age == recipe.track_length:
            steps = np.diff(self._times)
            if steps.max() > recipe.uneven * steps.min():
                self.end = "uneven"
                return
            left = min(max(left, 0), width - recipe.window)
            top = min(max(top, 0), height - recipe.window)
            self.last = _patch(frame, left, top, number, time, size, recipe)
            self.end = "tracks"


def mine_video(path, recipe, counts):
    """Yields `(first Patch, last Patch)` of tracks, and a `Mask` of frames, of one video.

    Args:
        path: of the file.
        recipe: a MiningRecipe.
        counts: a Counter that is filled: `frames` decoded; `looked` at for motion, of which
            `no_points`, `little_motion` and `much_motion` were rejected; `started` tracks, of
            which were `lost`, `left` the frame, were `uneven` in time, `cut_short` by the video's
            end, or became `tracks`; `damaged` is 1 where the rest could not be decoded;
            `seconds`, the last frame's time; `height` and `width` of the video.

    Raises:
        VideoError: where not one frame can be decoded.
    """
    recent, active = collections.deque(maxlen=recipe.gap), []
    stream = frames(path, recipe.frame_size)
    while True:
        try:
            frame, time, size = next(stream)
        except StopIteration:
            break
        except VideoError:
            if not counts["frames"]:
                raise
            counts["damaged"] = 1
            break
        number = counts["frames"]
        counts["frames"] += 1
        if number == 0:
            counts["height"], counts["width"] = size
            shape = frame.shape
        elif frame.shape != shape:
            counts["damaged"] = 1
            break
        # what is followed from a frame on was chosen when the frame `gap` later was there
        if len(recent) == recipe.gap and (number - recipe.gap) % recipe.stride == 0:
            start = number - recipe.gap
            found = yield from _looked_at(recent, frame, start, size, recipe, counts)
            active += found
        small = _small(frame, recipe)
        recent.append((frame, small, time))
        counts["seconds"] = time
        for track in active:
            if track.end is None:
                track.follow(frame, small, number, time, size)
        for track in [t for t in active if t.end]:
            counts[track.end] += 1
            active.remove(track)
            if track.end == "tracks":
                yield track.first, track.last
    counts["cut_short"] += len(active)
    if not counts["frames"]:
        raise VideoError("it holds no frames")


def _looked_at(recent, frame, number, size, recipe, counts):
    """Yields the mask of the oldest recent frame; returns the track from there, brought up to date.
    """
    first, small, time = recent[0]
    counts["looked"] += 1
    speed, points = motion.motion(first, frame, recipe.points)
    if len(points) < 4:
        counts["no_points"] += 1
        return []
    moving = points[speed[points[:, 1], points[:, 0]] > recipe.moving]
    part = len(moving) / len(points)
    if not len(moving) or part < recipe.least_moving:
        counts["little_motion"] += 1
        return []
    if part > recipe.most_moving:
        counts["much_motion"] += 1
        return []
    if recipe.masks:
        moves = motion.mask(speed, recipe.mask_flow)
        yield Mask(number, _jpeg(first, recipe), cv2.imencode(".png", moves)[1].tobytes())
    left, top, _ = motion.best_window(moving, *first.shape[:2], recipe.window)
    counts["started"] += 1
    track = _Track(first, small, left, top, number, time, size, recipe)
    for k, (later, small, when) in enumerate(list(recent)[1:], 1):
        if track.end is None:
            track.follow(later, small, number + k, when, size)
    return [track]


def _small(frame, recipe):
    """The frame at which a window has the tracker's side."""
    scale = recipe.tracker_window / recipe.window
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _patch(frame, left, top, number, time, size, recipe):
    side = recipe.window
    crop = cv2.resize(frame[top:top + side, left:left + side], (recipe.patch_size,) * 2,
                      interpolation=cv2.INTER_AREA)
    down, across = (own / scaled for own, scaled in zip(size, frame.shape, strict=False))
    return Patch(number, time, left * across, top * down, side * across, side * down,
                 _jpeg(crop, recipe))


def _jpeg(picture, recipe):
    return cv2.imencode(".jpg", picture[..., ::-1],
                        [cv2.IMWRITE_JPEG_QUALITY, recipe.patch_quality])[1].tobytes()
