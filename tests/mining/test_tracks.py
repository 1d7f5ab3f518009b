"""Videos with known motion: which patches are found, and what becomes of odd ones."""

import collections
import struct

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("av")

from moving_squares import moving, write_video  # noqa: E402

from keras_pretext.mining import MiningRecipe, video  # noqa: E402
from keras_pretext.mining.tracks import Mask, mine_video  # noqa: E402

SMALL = MiningRecipe(frame_size=160, window=64, patch_size=48, tracker_window=48, track_length=8,
                     stride=8, least_moving=0.02, most_moving=0.9, videos_per_shard=1,
                     patch_quality=100)


def mined(path, recipe=SMALL):
    counts = collections.Counter()
    found = list(mine_video(str(path), recipe, counts))
    return ([f for f in found if isinstance(f, Mask)],
            [f for f in found if not isinstance(f, Mask)], counts)


def test_a_moving_square_is_found_and_followed(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving(1, (10, 40), (4, 1), 34))
    masks, tracks, counts = mined(path, SMALL.replace(tracker_window=64))
    assert counts["frames"] == 34 and counts["looked"] == 5 and counts["tracks"] == 4
    assert counts["cut_short"] == 1 and counts["started"] == 5
    for k, (first, last) in enumerate(tracks):
        assert (first.frame, last.frame) == (8 * k, 8 * k + 7)
        assert first.time == pytest.approx(8 * k / 30, abs=1e-3)
        for patch in (first, last):  # within some pixels of where the square is
            assert abs(patch.left - (10 + 4 * patch.frame)) < 10
            assert abs(patch.top - (40 + patch.frame)) < 10
            assert (patch.width, patch.height) == (64, 64)
            image = cv2.imdecode(np.frombuffer(patch.jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (48, 48, 3)
        views = [cv2.imdecode(np.frombuffer(p.jpeg, np.uint8), 0).astype(float).ravel()
                 for p in (first, last)]
        assert np.corrcoef(views)[0, 1] > 0.5
    mask = cv2.imdecode(np.frombuffer(masks[0].png, np.uint8), cv2.IMREAD_UNCHANGED)
    truth = np.zeros((160, 240), bool)
    truth[40:104, 10:74] = True
    assert (mask.astype(bool) & truth).sum() / (mask.astype(bool) | truth).sum() > 0.7


def test_places_are_in_the_videos_own_pixels(tmp_path):
    frames = [np.kron(f, np.ones((2, 2, 1), np.uint8)) for f in moving(1, (60, 40), (4, 1), 12)]
    _, [(first, _)], counts = mined(write_video(tmp_path / "a.mkv", frames))
    assert (counts["height"], counts["width"]) == (320, 480)
    assert first.width == first.height == 128
    assert abs(first.left - 120) < 20 and abs(first.top - 80) < 20


def test_frames_of_a_turned_phone_are_upright(tmp_path):
    """The header of an .mp4 says by how much players turn what they show."""
    picture = np.zeros((48, 64, 3), "uint8")
    picture[:, 48:] = 255  # the right side is bright
    write_video(tmp_path / "plain.mp4", [picture] * 3)
    encoded = (tmp_path / "plain.mp4").read_bytes()
    at = encoded.index(b"tkhd") + 44  # of the matrix, behind times, numbers and volume
    for name, matrix, bright in (("right", (0, 1, -1, 0), np.s_[36:]),
                                 ("left", (0, -1, 1, 0), np.s_[:12])):
        a, b, c, d = (struct.pack(">i", n << 16) for n in matrix)
        turned = (encoded[:at] + a + b + bytes(4) + c + d + encoded[at + 20:])
        (tmp_path / f"{name}.mp4").write_bytes(turned)
        frame, _, size = next(video.frames(tmp_path / f"{name}.mp4", 36))
        assert size == (64, 48) and frame.shape == (48, 36, 3)
        assert frame[bright].mean() > 200 and frame.mean() < 100


def test_patches_have_the_colours_of_the_video(tmp_path):
    frames = [f.copy() for f in moving(1, (60, 40), (4, 1), 12)]
    for f in frames:
        f[..., 0] = 200  # red
    _, [(first, _)], _ = mined(write_video(tmp_path / "a.mkv", frames))
    image = cv2.imdecode(np.frombuffer(first.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image[..., 0].mean() > 190 and image[..., 2].mean() < 170


def test_of_many_frames_apart_the_flow_is_the_longer_one(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving(1, (40, 40), (1, 0), 16))
    counts = [mined(path, SMALL.replace(gap=gap, moving=2.5, stride=4))[2] for gap in (1, 4)]
    assert counts[0]["little_motion"] == counts[0]["looked"] > 0
    assert counts[1]["tracks"] == 3
    with_gap = mined(path, SMALL.replace(gap=4))[1]
    assert [(a.frame, b.frame) for a, b in with_gap] == [(0, 7), (8, 15)]


@pytest.mark.parametrize("reason, recipe, frames", [
    ("little_motion", SMALL, lambda: moving(1, (40, 40), (0, 0), 12)),
    ("no_points", SMALL, lambda: [np.full((160, 240, 3), 90, np.uint8)] * 12),
    ("much_motion", SMALL.replace(most_moving=0.03), lambda: moving(1, (40, 40), (4, 0), 12)),
    ("cut_short", SMALL, lambda: moving(1, (40, 40), (4, 0), 5)),
    ("left", SMALL,
     lambda: [f[:, :240] for f in moving(1, (150, 40), (6, 0), 16, width=320)]),
])
def test_what_gives_no_track_is_counted(tmp_path, reason, recipe, frames):
    _, tracks, counts = mined(write_video(tmp_path / "a.mkv", frames()), recipe)
    assert counts[reason] >= 1 and not tracks and not counts["tracks"]


def test_uneven_frames_are_dropped_and_counted(tmp_path):
    times = [*(33 * np.arange(6)), *(500 + 33 * np.arange(10))]
    path = write_video(tmp_path / "a.mkv", moving(1, (20, 40), (4, 0), 16),
                       times=[int(t) for t in times])
    _, tracks, counts = mined(path)
    assert counts["uneven"] == 1 and [a.frame for a, _ in tracks] == [8]
    assert tracks[0][0].time == pytest.approx(0.5 + 2 * 0.033, abs=2e-3)
    assert mined(path, SMALL.replace(uneven=100.0))[2]["uneven"] == 0


def test_a_damaged_file_gives_what_comes_before(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving(1, (10, 40), (4, 0), 34))
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 2 // 3])
    _, tracks, counts = mined(path)
    assert 10 < counts["frames"] < 34 and 1 <= len(tracks) < 4


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_told(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(video.VideoError):
        mined(tmp_path / "a.mp4")


def test_videos_are_found_in_folders(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/x.MP4", "a.mkv", "a.txt"):
        (tmp_path / name).write_bytes(b"")
    found = [str(tmp_path / "a.mkv"), str(tmp_path / "b" / "x.MP4")]
    assert video.find(tmp_path) == found
    assert video.find([tmp_path / "b", tmp_path / "a.mkv", tmp_path]) == found
    for wrong, message in ((tmp_path / "none", "no such video"), ([], "there is no video")):
        with pytest.raises(ValueError, match=message):
            video.find(wrong)


@pytest.mark.parametrize("field, value, message", [
    ("window", 500, "frame_size"), ("least_moving", 0.9, "first smaller"), ("group", 12, "group"),
    ("clusters", 0, "at least 1"), ("stride", 2.5, "stride is int"), ("inside", 0.0, "inside"),
    ("masks", 1, "masks is bool"), ("patch_quality", 101, "1 to 100"),
    ("strid", 3, "Did you mean 'stride'")])
def test_recipes_refuse_what_makes_no_sense(field, value, message):
    with pytest.raises(ValueError, match=message):
        MiningRecipe().replace(**{field: value})


def test_the_defaults_are_the_papers():
    recipe = MiningRecipe()
    assert (recipe.window, recipe.patch_size, recipe.track_length, recipe.clusters,
            recipe.least_members, recipe.neighbours, recipe.group, recipe.moving,
            recipe.least_moving, recipe.most_moving, recipe.intra_pairs,
            recipe.transitive_pairs) == (
        227, 96, 30, 5000, 100, 10, 4, 0.5, 0.25, 0.75, 2_000_000, 7_000_000)
