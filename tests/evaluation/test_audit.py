import io

import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_pretext import backbones, cli, tasks
from keras_pretext.data.arrays import ArraySource
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


INNER = {"kind": "grid_crop", "size": 84, "resize": 96, "centred": True}  # without the border
TILES = {"tile": 24, "permutations": 4, "puzzles": 16, "embedding": 64, "hidden": 256,
         "dropout": 0.0}
BARE_TILES = {**TILES, "cell": 24, "grey": 0.0, "shift": 0}
TABLE = {  # defences on; defences off; probes that solve the latter
    "rotation": ({}, None, []),
    "rotation_45": (
        (rotation.Rotation, {"angles": (0, 45), "image_size": 24, "framing": {
            "kind": "centre_crop", "size": 24, "resize": 30}}),
        (UnevenRotation, {"angles": (0, 45), "image_size": 24}),
        ["noise"]),
    "relative_patch": (
        {"patch": 24, "gap": 12, "jitter": 2, "hidden": (64, 64), "flat_field": True,
         "framing": {"kind": "area_crop", "size": 100, "area": (9375, 28125), "margin": 0.05}},
        {"patch": 24, "gap": 0, "jitter": 0, "hidden": (64, 64), "color": "keep",
         "pixelate": 0.0},
        ["texture", "chromatic", "vignette"]),
    "jigsaw": (
        {**TILES, "cell": 28, "one_channel": True, "flat_field": True, "framing": INNER},
        BARE_TILES,
        ["stripes", "chromatic", "vignette"]),
    "damaged_jigsaw": (
        {**TILES, "cell": 28, "one_channel": True, "flat_field": True, "framing": INNER,
         "heads": ("jigsaw",)},
        {**BARE_TILES, "damage": ("missing", "shuffle"), "heads": ("jigsaw",)},
        ["stripes", "chromatic", "vignette"]),
    "exemplar": (
        {"num_classes": 16, "patch": 24, "standardize": True}, {"num_classes": 16, "patch": 24},
        ["cast"]),
    "exemplar_triplet": (
        {"copies": 4, "image_size": 24, "dim": 32},
        {"copies": 4, "image_size": 24, "dim": 32, "standardize": False, "grey": 0.0},
        ["cast"]),
    "counting": (
        {"tile": 24, "counts": 32, "standardize": True},
        {"tile": 24, "counts": 32, "filters": "area", "grey": 0.0}, ["cast"]),
    "noise_targets": (
        {"dim": 32, "image_size": 24, "sobel": True}, {"dim": 32, "image_size": 24}, ["cast"]),
}


# JPEG's blocks turn with the picture by 45 degrees: nothing here hides their direction.
OPEN = {"rotation_45": ["jpeg"]}


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
    assert [row.probe for row in audited(name, on) if row.leaks] == OPEN.get(name, [])
    if off is None:
        return
    assert {row.probe for row in audited(name, off, solved_by) if row.leaks} == {*solved_by}


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


def test_a_cast_belongs_to_its_group(rng):
    group = np.array([0, 1, 0, 1])
    means = auditing.probes.get("cast")(rng, group, 64).mean((1, 2))
    np.testing.assert_allclose(means[:2], means[2:], atol=3)
    assert np.abs(means[0] - means[1]).max() > 5
    assert means.min() > 127 - 30 and means.max() < 128 + 30


def test_stripes_run_on_and_begin_anywhere(rng):
    """One period further (10 pixels of 192) they are what they were, half a period on the contrary.
    """
    x = auditing.probes.get("stripes")(rng, np.arange(30), 192)[..., 0] - 127.5
    across = x.mean(1)
    assert np.corrcoef(across[:, :150].ravel(), across[:, 40:190].ravel())[0, 1] > 0.9
    assert np.corrcoef(across[:, :150].ravel(), across[:, 35:185].ravel())[0, 1] < -0.9
    assert abs(across[:, 0].mean()) < 15  # no phase is the usual one


def test_a_leak_is_more_than_the_limit_and_two_standard_errors(monkeypatch):
    batches = np.array([0.3, 0.5, 0.2, 0.6, 0.3, 0.5])  # of chance 0.15
    monkeypatch.setattr(auditing, "_fit", lambda *_: None)
    monkeypatch.setattr(auditing, "_measure", lambda *_: batches)
    task = tasks.get("relative_patch", **SMALL)
    row, = auditing.audit(task, ["noise"], pictures=16)
    assert row.solved == pytest.approx((0.4 - 0.15) / 0.85)
    assert row.error == pytest.approx(batches.std() / 5**0.5 / 0.85)
    assert row.leaks and "29% \N{PLUS-MINUS SIGN} 7%" in str(row)
    row, = auditing.audit(task, ["noise"], pictures=16, limit=0.2)
    assert row.solved > 0.2 and not row.leaks


def large_pictures(rng, count=20):
    return ArraySource(auditing._pixels(auditing.field(rng, count, 130, 3.0)[:, 5:-5]),
                       name="large")


@pytest.fixture
def rotations():
    return tasks.get("rotation", image_size=24).attach(auditing._Tiny())


def compressions(model, source, monkeypatch, accuracies, *arguments, **options):
    """The row where a model has these accuracies, and the pictures that it was asked."""
    asked = []

    def evaluate(model, source, batch_size):
        asked.append(source.arrays()[0])
        return {"loss": 1.0, "accuracy": accuracies[len(asked) - 1]}

    monkeypatch.setattr(auditing, "evaluate", evaluate)
    return auditing.compression(model, source, *arguments, **options), asked


def test_compression_is_what_a_model_loses_without_it(rng, rotations, monkeypatch):
    """The same shrunk squares are asked, once as they are and once as JPEG of their own size."""
    source = large_pictures(rng)
    row, (plain, compressed) = compressions(rotations, source, monkeypatch, (0.4, 0.85), 40,
                                            quality=60, pictures=16)
    assert plain.shape == (16, 40, 40, 3) and (row.pictures, row.quality) == (16, 60)
    squares = {Image.fromarray(image[:, 5:125]).resize(
        (40, 40), Image.Resampling.BICUBIC).tobytes() for image in source.arrays()[0]}
    assert len({image.tobytes() for image in plain} & squares) == 16
    file = io.BytesIO()
    Image.fromarray(plain[3]).save(file, "JPEG", quality=60)
    np.testing.assert_array_equal(compressed[3], Image.open(file))
    assert row.share == pytest.approx(0.45 / 0.6)
    variance = 0.4 * 0.6 + (1 - row.share)**2 * 0.85 * 0.15
    assert row.error == pytest.approx((variance / 16)**0.5 / 0.6)
    assert row.leaks and "75% \N{PLUS-MINUS SIGN} 21% is compression, LEAKS" in str(row)


def test_the_error_of_the_share_is_that_of_draws(rng, rotations, monkeypatch):
    def drawn(p):
        return rng.binomial(20, p) / 20

    rows = [compressions(rotations, large_pictures(rng), monkeypatch, (drawn(0.8), drawn(0.9)), 40
                         )[0] for _ in range(40)]
    shares = np.array([row.share for row in rows])
    assert np.mean([row.error for row in rows]) == pytest.approx(shares.std(), rel=0.35)


@pytest.mark.parametrize("accuracies, verdict", [
    ((0.97, 0.98), "closed"), ((0.6, 0.6), "not decided"), ((0.1, 0.3), "too little above chance"),
    ((0.3, 0.2), "too little above chance")])
def test_what_is_not_known_is_not_called_closed(rng, rotations, monkeypatch, accuracies, verdict):
    row, _ = compressions(rotations, large_pictures(rng), monkeypatch, accuracies, 40)
    assert not row.leaks and verdict in str(row), str(row)


def test_of_several_heads_the_puzzle_is_measured(rng):
    damaged = tasks.get("damaged_jigsaw", **TILES, cell=28)
    assert auditing._metric(damaged) == "jigsaw_accuracy"
    row = auditing.compression(damaged.attach(auditing._Tiny()), large_pictures(rng, 4), 40)
    assert row.metric == "jigsaw_accuracy" and row.pictures == 4


def test_what_compression_cannot_be_measured_on(rng, rotations):
    with pytest.raises(ValueError, match="none has 123 or more.*Received: 'large'"):
        auditing.compression(rotations, large_pictures(rng), 41)
    model = tasks.get("exemplar", num_classes=4, patch=16).attach(auditing._Tiny())
    with pytest.raises(ValueError, match="of a puzzle: rotation.*Received: 'exemplar'"):
        auditing.compression(model, large_pictures(rng), 40)
    model = tasks.get("damaged_jigsaw", **TILES, cell=28, heads=["inpainting"])
    with pytest.raises(ValueError, match="jigsaw head.*Received: 'damaged_jigsaw'"):
        auditing.compression(model.attach(auditing._Tiny()), large_pictures(rng), 40)
    for name, value in (("side", 0), ("quality", 0), ("quality", 101), ("pictures", 0)):
        with pytest.raises(ValueError, match=f"{name} is .*Received: {value}"):
            auditing.compression(rotations, large_pictures(rng), **{"side": 40, name: value})
    with pytest.raises(ValueError, match="side is at least 1. Received: 0"):
        auditing.audit(tasks.get("relative_patch", **SMALL), ["jpeg"], pictures=16, side=0)


def test_pictures_of_the_asked_size_are_made(monkeypatch):
    """Where a task enlarges its pictures, their compression is enlarged too."""
    sides = []
    monkeypatch.setattr(auditing, "_fit", lambda *_: None)
    monkeypatch.setattr(auditing, "_measure", lambda *_: np.array([0.15, 0.15]))
    monkeypatch.setattr(auditing, "_pictures", lambda make, rng, group, size: (
        sides.append(size) or make(rng, group, size)))
    auditing.audit(tasks.get("relative_patch", **SMALL), ["jpeg"], pictures=16, side=30)
    assert sides == [30, 30]


@pytest.mark.parametrize("name, value", [("steps", -4), ("steps", 0), ("seed", -3),
                                         ("batch_size", 0), ("pictures", 0)])
def test_numbers_that_make_no_audit(rotations, name, value):
    with pytest.raises(ValueError, match=f"{name} is at least .*Received: {value}"):
        auditing.audit(rotations.task, ["noise"], **{name: value})


def test_tasks_that_cannot_be_audited_are_refused():
    with pytest.raises(ValueError, match="num_classes=16 or fewer"):
        auditing.audit(tasks.get("exemplar", num_classes=17, patch=16), pictures=64)
    with pytest.raises(ValueError, match="made in training"):
        auditing.audit(tasks.get("deep_cluster", clusters=8, image_size=16), pictures=64)


@pytest.mark.parametrize("name", auditing.probes.names())
def test_probes_are_pictures(name, rng):
    pictures = auditing.probes.get(name)(rng, np.arange(3), 40)
    assert pictures.shape == (3, 40, 40, 3) and pictures.dtype == np.uint8
    assert pictures.std() > 10


SMALL_TILES = {"tile": 16, "grid": 2, "permutations": 2, "puzzles": 8, "embedding": 32,
               "hidden": 64, "dropout": 0.0, "grey": 0.0, "shift": 0}
PAIRS = {  # probe; defences on; defences off; settings: as in the table, but smaller
    "rotation": ("noise", (rotation.Rotation, {"angles": (0, 45), "image_size": 24}),
                 (UnevenRotation, {"angles": (0, 45), "image_size": 24}), {"steps": 60}),
    "relative_patch": ("chromatic", {"color": "drop", **SMALL},
                       {"color": "keep", "pixelate": 0.0, **SMALL}, {"steps": 120}),
    "jigsaw": ("vignette", {"cell": 19, "flat_field": True, **SMALL_TILES},
               {"cell": 19, **SMALL_TILES}, {"steps": 100}),
    "damaged_jigsaw": ("vignette", {"cell": 19, "flat_field": True, "heads": ["jigsaw"],
                                    **SMALL_TILES},
                       {"cell": 19, "heads": ["jigsaw"], **SMALL_TILES}, {"steps": 100}),
    "exemplar": ("cast", {"num_classes": 8, "patch": 16, "standardize": True},
                 {"num_classes": 8, "patch": 16}, {"steps": 120}),
    "exemplar_triplet": ("cast", {"copies": 3, "image_size": 16, "dim": 8},
                         {"copies": 3, "image_size": 16, "dim": 8, "standardize": False,
                          "grey": 0.0}, {"steps": 60, "limit": 0.2}),
    "counting": ("cast", {"tile": 16, "counts": 16, "standardize": True},
                 {"tile": 16, "counts": 16, "filters": "area", "grey": 0.0}, {"steps": 120}),
    "noise_targets": ("cast", {"dim": 8, "image_size": 16, "sobel": True},
                      {"dim": 8, "image_size": 16}, {"steps": 60}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_defence_closes_a_shortcut_that_is_open_without(name):
    probe, on, off, settings = PAIRS[name]
    closed, leaking = (audited(name, options, [probe], pictures=256, **settings)[-1]
                       for options in (on, off))
    assert not closed.leaks and "closed" in str(closed), str(closed)
    assert leaking.leaks and "LEAKS" in str(leaking), str(leaking)


def test_on_the_command_line(capsys):
    code = cli.main(["audit", "--task", "relative_patch", "--probes", "noise", "--steps", "5",
                     "--set", "patch=16", "--set", "gap=8", "--set", "jitter=1",
                     "--set", "hidden=[16]"])
    assert code == 0 and "noise" in capsys.readouterr().out


def test_an_unknown_probe_tells_the_nearest():
    with pytest.raises(ValueError, match="chromatic"):
        auditing.audit(tasks.get("relative_patch", **SMALL), ["cromatic"])


def test_a_trained_model_on_the_command_line(capsys, rng, tmp_path, monkeypatch):
    backbone = backbones.get("network_in_network", blocks=3)
    tasks.get("rotation", image_size=32).attach(backbone).save(tmp_path / "model.keras")
    np.savez(tmp_path / "large.npz", images=large_pictures(rng).arrays()[0])
    command = ["audit-compression", str(tmp_path / "model.keras"), "--data",
               f"npz:{tmp_path / 'large.npz'}", "--side", "40"]
    assert cli.main([*command, "--images", "5", "--quality", "30"]) == 0
    told = capsys.readouterr().out
    assert "without compression at 40 pixels" in told and "quality 30 (5 pictures)" in told
    answers = iter((0.5, 0.9))
    monkeypatch.setattr(auditing, "evaluate", lambda *_, **__: {"accuracy": next(answers)})
    assert cli.main(command) == 1 and "LEAKS" in capsys.readouterr().out
