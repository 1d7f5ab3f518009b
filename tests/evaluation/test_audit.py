import numpy as np
import pytest
from keras import ops

from keras_pretext import cli, tasks
from keras_pretext.evaluation import audit as auditing
from keras_pretext.image import geometry
from keras_pretext.tasks import rotation

SMALL = {"patch": 16, "gap": 8, "jitter": 1, "hidden": (32, 32)}


class UnevenLayer(rotation.RotationLayer):
    """Odd multiples of 45 degrees are interpolated, even ones are not."""

    def puzzle(self, images, draws):
        middle, crop = (self.framing.size - 1) / 2, rotation.diagonal_crop(self.framing.size)
        ones = ops.ones_like(draws[:, 0])
        copies = [geometry.sample(images, *geometry.turned_square(
            middle * ones, middle * ones, crop * ones, angle * ones, crop))
            for angle in self.angles]
        labels = ops.arange(len(self.angles), dtype="int32")[None]
        return ops.stack(copies, 1), ops.broadcast_to(labels, (ones.shape[0], len(copies)))


class UnevenRotation(rotation.Rotation):
    def layer(self, augment=True):
        return UnevenLayer(self.angles, False, self.framing)


TILES = {"tile": 24, "permutations": 4, "puzzles": 16, "embedding": 64, "hidden": 256,
         "dropout": 0.0}
BARE_TILES = {**TILES, "cell": 24, "grey": 0.0, "shift": 0}
TABLE = {  # defences on; defences off; probes that solve the latter
    "rotation": (
        (rotation.Rotation, {"angles": range(0, 360, 45)}),
        (UnevenRotation, {"angles": range(0, 360, 45)}),
        ["noise"]),
    "relative_patch": (
        {"patch": 24, "gap": 12, "jitter": 2, "hidden": (64, 64), "flat_field": True},
        {"patch": 24, "gap": 0, "jitter": 0, "hidden": (64, 64), "color": "keep",
         "pixelate": 0.0},
        ["texture", "chromatic", "vignette"]),
    "jigsaw": (
        {**TILES, "cell": 28, "grey": 0.66, "shift": 1, "flat_field": True}, BARE_TILES,
        ["stripes", "chromatic", "vignette"]),
    "damaged_jigsaw": (
        {**TILES, "cell": 28, "flat_field": True, "heads": ("jigsaw",)},
        {**BARE_TILES, "damage": ("missing", "shuffle"), "heads": ("jigsaw",)},
        ["stripes", "chromatic", "vignette"]),
    "exemplar": (
        {"num_classes": 16, "patch": 24, "standardize": True}, {"num_classes": 16, "patch": 24},
        ["cast"]),
    "exemplar_triplet": (
        {"copies": 4, "image_size": 24, "dim": 32},
        {"copies": 4, "image_size": 24, "dim": 32, "standardize": False},
        ["cast"]),
    "counting": (
        {"tile": 24, "counts": 32, "sobel": True},
        {"tile": 24, "counts": 32, "filters": "area", "grey": 0.0}, ["cast"]),
    "noise_targets": (
        {"dim": 32, "image_size": 24, "sobel": True}, {"dim": 32, "image_size": 24}, ["cast"]),
}


def audited(name, options, probes=None, **settings):
    if isinstance(options, tuple):
        return auditing.audit(options[0](**options[1]), probes, **settings)
    options = dict(options)
    sobel = options.pop("sobel", False)
    return auditing.audit(tasks.get(name, **options), probes, sobel=sobel, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_every_task_passes_with_its_defences_and_fails_without(name):
    on, off, solved_by = TABLE[name]
    assert [str(row) for row in audited(name, on) if row.leaks] == []
    assert all(row.leaks for row in audited(name, off, solved_by))


def test_noise_is_the_same_in_every_direction_and_does_not_wrap(rng):
    x = auditing.field(rng, 200, 32, 2.0)[..., 0]
    across = (x[:, :, 3:] * x[:, :, :-3]).mean()
    down = (x[:, 3:] * x[:, :-3]).mean()
    np.testing.assert_allclose(across, down, atol=0.03)
    np.testing.assert_allclose(across, np.exp(-9 / (4 * 2.0**2)), atol=0.06)
    assert abs((x[:, :, 0] * x[:, :, -1]).mean()) < 0.06
    np.testing.assert_allclose(x.std((1, 2)).mean(), 1, atol=0.1)


def test_the_lens_moves_green_outwards(rng):
    pictures = auditing.probes.get("chromatic")(rng, np.arange(20), 101).astype("float64")
    red, green = pictures[..., 0] - 127.5, pictures[..., 1] - 127.5

    def lag(part):
        """How far right green has to be moved back to be red, in a part of the columns."""
        scores = [(red[:, :, part] * np.roll(green, -k, 2)[:, :, part]).mean()
                  for k in (-1, 0, 1)]
        return (-1, 0, 1)[int(np.argmax(scores))]

    assert [lag(slice(5, 20)), lag(slice(43, 58)), lag(slice(80, 95))] == [-1, 0, 1]


@pytest.mark.parametrize("name", auditing.probes.names())
def test_probes_are_pictures(name, rng):
    pictures = auditing.probes.get(name)(rng, np.arange(3), 40)
    assert pictures.shape == (3, 40, 40, 3) and pictures.dtype == np.uint8
    assert pictures.std() > 10


def test_chromatic_aberration_solves_relative_patch_unless_channels_are_dropped():
    rows = {color: auditing.audit(tasks.get("relative_patch", color=color, pixelate=0.0, **SMALL),
                                  ["chromatic"], steps=120, pictures=256)[0]
            for color in ("keep", "drop")}
    assert rows["keep"].leaks and rows["keep"].solved > 0.3
    assert not rows["drop"].leaks and "closed" in str(rows["drop"])


def test_on_the_command_line(capsys):
    code = cli.main(["audit", "--task", "relative_patch", "--probes", "noise", "--steps", "5",
                     "--set", "patch=16", "--set", "gap=8", "--set", "jitter=1",
                     "--set", "hidden=[16]"])
    assert code == 0 and "noise" in capsys.readouterr().out


def test_an_unknown_probe_tells_the_nearest():
    with pytest.raises(ValueError, match="chromatic"):
        auditing.audit(tasks.get("relative_patch", **SMALL), ["cromatic"])
