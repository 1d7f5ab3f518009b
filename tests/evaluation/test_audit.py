import numpy as np
import pytest

from keras_pretext import cli, tasks
from keras_pretext.evaluation import audit as auditing

SMALL = {"patch": 16, "gap": 8, "jitter": 1, "hidden": (32, 32)}


def test_noise_is_the_same_in_every_direction_and_does_not_wrap(rng):
    x = auditing.field(rng, 200, 32, 2.0)[..., 0]
    across = (x[:, :, 3:] * x[:, :, :-3]).mean()
    down = (x[:, 3:] * x[:, :-3]).mean()
    np.testing.assert_allclose(across, down, atol=0.03)
    np.testing.assert_allclose(across, np.exp(-9 / (4 * 2.0**2)), atol=0.06)
    assert abs((x[:, :, 0] * x[:, :, -1]).mean()) < 0.06
    np.testing.assert_allclose(x.std((1, 2)).mean(), 1, atol=0.1)


def test_the_lens_moves_green_outwards(rng):
    pictures = auditing.probes.get("chromatic")(rng, 20, 101).astype("float64")
    red, green = pictures[..., 0] - 127.5, pictures[..., 1] - 127.5

    def lag(part):
        """How far right green has to be moved back to be red, in a part of the columns."""
        scores = [(red[:, :, part] * np.roll(green, -k, 2)[:, :, part]).mean()
                  for k in (-1, 0, 1)]
        return (-1, 0, 1)[int(np.argmax(scores))]

    assert [lag(slice(5, 20)), lag(slice(43, 58)), lag(slice(80, 95))] == [-1, 0, 1]


@pytest.mark.parametrize("name", auditing.probes.names())
def test_probes_are_pictures(name, rng):
    pictures = auditing.probes.get(name)(rng, 3, 40)
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
