"""The command line: what it prints, writes, and says when something is wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_pretext import cli
from keras_pretext.cli import common

RECIPE = """
from keras_pretext.training import Recipe
recipe = Recipe(name="tiny", task=("rotation", {{"image_size": 32}}),
                backbone=("network_in_network", {{"blocks": 2}}), data="npz:{npz}",
                test_split="train", epochs=1, batch_size=16, test_images=32)
"""


@pytest.fixture
def recipe(tmp_path, npz):
    path = tmp_path / "tiny.py"
    path.write_text(RECIPE.format(npz=npz))
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "wide.png"
    pixels = np.zeros((40, 60, 3), "uint8")
    pixels[:20] = (250, 0, 0)  # red above, black below
    Image.fromarray(pixels).save(path)
    return path


def failing(capsys, *arguments):
    """The one line that a command fails with."""
    assert cli.main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("keras-pretext: ") and captured.err.count("\n") == 1
    return captured.err


def test_settings_are_json_or_words():
    assert common.settings(["epochs=2", "precision=float32", "angles=[0, 90]", "tap=null"]) == {
        "epochs": 2, "precision": "float32", "angles": [0, 90], "tap": None}
    with pytest.raises(ValueError, match="NAME=VALUE.*Received: 'epochs'"):
        common.settings(["epochs"])


def test_preview_draws_the_four_rotations(picture, tmp_path):
    out = tmp_path / "sheet.png"
    assert cli.main(["preview", str(picture), "--task", "rotation", "--out", str(out)]) == 0
    sheet = np.asarray(Image.open(out))
    gap, side, line = 8, 128, 20
    assert sheet.shape == (gap + side + line + gap, gap + 4 * (side + gap), 3)
    # where the red half lies in each copy: up, then counter-clockwise: left, down, right
    middle, low, high = side // 2, side // 5, 4 * side // 5
    for k, (y, x) in enumerate([(low, middle), (middle, low), (high, middle), (middle, high)]):
        left, top = gap + k * (side + gap), gap + line
        assert sheet[top + y, left + x, 0] > 200
        assert sheet[top + side - 1 - y, left + side - 1 - x, 0] < 50


def test_preview_passes_options_to_the_task(picture, tmp_path):
    out = tmp_path / "sheet.png"
    assert cli.main(["preview", str(picture), "--task", "rotation", "--set", "angles=[0, 180]",
                     "--out", str(out)]) == 0
    assert Image.open(out).width == 8 + 2 * 136


def test_pretrain_check_starts_nothing(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["pretrain", str(recipe), "--out", str(out), "--check"]) == 0
    assert "96 images, 6 steps" in capsys.readouterr().out
    assert not (out / "metrics.jsonl").exists() and not (out / "final").exists()


def test_pretrain_probe_and_publish(recipe, tmp_path, capsys, npz, monkeypatch):
    monkeypatch.setenv("KERAS_PRETEXT_CACHE", str(tmp_path / "cache"))
    out, score = tmp_path / "run", tmp_path / "score.json"
    assert cli.main(["pretrain", str(recipe), "--out", str(out)]) == 0
    assert (out / "final" / "model.keras").exists()
    assert "test_accuracy" in capsys.readouterr().out
    assert cli.main(["probe", str(out), "--data", str(npz), "--test-split", "train", "--protocol",
                     "knn", "--taps", "block1", "--json", str(score)]) == 0
    assert "block1" in capsys.readouterr().out
    result, = json.loads(score.read_text())
    assert result["settings"]["weights_from"] == str(out)
    assert list(result["taps"]) == ["block1"]
    assert 0.0 <= result["taps"]["block1"]["last_mean"] <= 1.0


def test_probe_takes_any_protocol_and_its_options(recipe, tmp_path, capsys, npz, monkeypatch):
    """What reaches the function; the functions have tests of their own."""
    from keras_pretext import evaluation
    from keras_pretext.evaluation import ProbeResult

    monkeypatch.setattr("keras_pretext.cli.evaluation.read_model", lambda name: None)
    seen = {}

    def linear(model, train, test, taps=None, seeds=(0, 1, 2), epochs=10, frozen=True, **options):
        seen.update(taps=taps, seeds=seeds, epochs=epochs, frozen=frozen, **options)
        return ProbeResult("zhang2016-linear", {"block1": {"last": [0.5], "best": [0.5]}}, {})

    def knn(model, train, test, taps=None, k=20):
        raise AssertionError

    monkeypatch.setitem(evaluation.PROTOCOLS, "zhang2016-linear", linear)
    monkeypatch.setitem(evaluation.PROTOCOLS, "knn-cosine", knn)
    start = ["probe", "x", "--data", str(npz), "--test-split", "train"]
    assert cli.main([*start, "--protocol", "zhang2016-linear", "--seeds", "4", "--set",
                     "batch_size=8", "--set", "feature_dtype=float32", "--label", "supervised",
                     "--json", str(tmp_path / "new" / "score.json")]) == 0
    score, = json.loads((tmp_path / "new" / "score.json").read_text())
    assert score["settings"]["weights_from"] == "supervised"
    assert seen == {"taps": None, "seeds": [4], "epochs": 10, "frozen": True, "batch_size": 8,
                    "feature_dtype": "float32"}
    assert "zhang2016-linear" in capsys.readouterr().out
    line = failing(capsys, *start, "--protocol", "knn-cosine", "--set", "q=3")
    assert "knn-cosine has no q; its options are k, taps" in line
    seen.clear()
    whole = tmp_path / "whole.npz"  # without splits
    np.savez(whole, images=np.zeros((4, 8, 8, 3), np.uint8), labels=[0, 1, 0, 1])
    assert "nothing is held out" in failing(capsys, "probe", "x", "--data", whole)
    for target in (tmp_path, npz / "score.json"):  # a folder, and below a file
        line = failing(capsys, *start, "--protocol", "zhang2016-linear", "--json", target)
        assert "cannot be written there" in line and line.endswith(f"Received: {target}\n")
    line = failing(capsys, *start, "--protocol", "zhang2016-linear", "--set", "epoch=3")
    assert "zhang2016-linear has no epoch; its options are batch_size, cache, crops," in line
    line = failing(capsys, *start, "--protocol", "zhang2016-linear", "--set", "frozen=false",
                   "--set", "crops=2")  # of `finetune`, which has none
    assert "zhang2016-linear has no crops" in line
    line = failing(capsys, *start, "--protocol", "fast_rcnn", "--image-size", "64")
    assert "fast_rcnn has no image_size" in line
    assert not seen
    assert "Did you mean 'zhang2016-linear'" in failing(capsys, *start, "--protocol", "zhang-lin")
    assert "one tap" in failing(capsys, *start, "--protocol", "zhang2016-linear", "--finetune")
    assert "no frozen" in failing(capsys, *start, "--protocol", "exemplar_svm", "--finetune",
                                  "--taps", "block1")


def test_figure_5b_can_be_asked_for(npz, monkeypatch):
    """The supervised network of the figure is random weights, trained at the head's own pace."""
    import functools

    from keras_pretext import evaluation

    seen = {}

    @functools.wraps(evaluation.semi_supervised)  # with its signature
    def semi_supervised(model, train, test, **options):
        seen.update(options)
        return {}

    monkeypatch.setattr("keras_pretext.cli.evaluation.read_model", lambda name: None)
    monkeypatch.setitem(evaluation.PROTOCOLS, "gidaris2018-semi-supervised", semi_supervised)
    assert cli.main(["probe", "x", "--data", str(npz), "--test-split", "train", "--protocol",
                     "semi_supervised", "--taps", "block2", "--finetune", "--set", "slower=1"]) == 0
    assert seen == {"tap": "block2", "frozen": False, "slower": 1}


def test_mistakes_get_one_line(recipe, tmp_path, capsys, picture):
    assert "rotation" in failing(capsys, "preview", picture, "--task", "rotatoin")
    assert "tiny.py" in failing(capsys, "pretrain", recipe.with_name("tinny.py"))
    line = failing(capsys, "pretrain", recipe, "--set", "epoch=3", "--out", tmp_path / "run")
    assert "Did you mean 'epochs'?" in line and "Received: 'epoch'" in line
    assert "final/model.keras" in failing(capsys, "publish", tmp_path, "a_name")
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:40])
    failing(capsys, "preview", broken, "--task", "rotation")


def test_what_cannot_be_resumed_does_not_say_so(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    for module, run, arguments, words in (
            ("training", "_pretrain", ["pretrain", "r.py"], "stopped; the same command resumes"),
            ("training", "_mine", ["mine", "a.mp4", "--out", "o"],
             "stopped; the same command resumes"),
            ("zoo", "_extract", ["extract", "m", "--data", "d", "--out", "o"],
             "stopped; the same command resumes"),
            ("evaluation", "_probe", ["probe", "m", "--data", "d"], "stopped")):
        monkeypatch.setattr(f"keras_pretext.cli.{module}.{run}", interrupted)
        assert cli.main(arguments) == 130
        assert capsys.readouterr().err == f"keras-pretext: {words}\n"


def test_an_interrupt_that_beam_wraps_is_one(monkeypatch, capsys):
    def interrupted(arguments):
        raise RuntimeError("KeyboardInterrupt [while running 'Tracks/ParDo(_Work)']")

    monkeypatch.setattr("keras_pretext.cli.training._mine", interrupted)
    assert cli.main(["mine", "a.mp4", "--out", "o"]) == 130
    assert capsys.readouterr().err == "keras-pretext: stopped; the same command resumes\n"


def test_an_error_of_a_layer_is_its_own_words(monkeypatch, capsys):
    import keras

    class Layer(keras.layers.Layer):
        def call(self, images):
            raise ValueError("pictures are RGB. Received: grey")

    def profile(arguments):
        Layer()(np.zeros((1, 2)))

    monkeypatch.setattr("keras_pretext.cli.training._profile", profile)
    assert failing(capsys, "profile", "r.py") == "keras-pretext: pictures are RGB. Received: grey\n"
    with pytest.raises(ValueError, match="Exception encountered.*\n.*\n.*\n\nArguments received"):
        cli.main(["profile", "r.py", "--debug"])


@pytest.mark.parametrize("count", [1, 2000])  # lines, that stay in a buffer and that do not
def test_a_reader_that_leaves_is_no_error(count):
    code = f"""
import sys
from keras_pretext import cli, zoo
zoo.list = lambda: ["name"] * {count}
sys.exit(cli.main(["zoo", "list"]))
"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE,
                              text=True)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("arguments", [
    ["preview", "PICTURE", "--task", "nosuch"],
    ["inpaint", "PICTURE", "--box", "0,0,8,8", "--model", "nosuch"],
    ["colorize", "PICTURE", "--model", "nosuch"],
    ["show", "filters", "nosuch"],
    ["neighbours", "PICTURE", "--index", "nosuch"],
    ["color-prior", "npz:nosuch.npz"]])
def test_where_a_drawing_goes_is_checked_before_the_work(picture, tmp_path, capsys, arguments):
    arguments = [str(picture) if a == "PICTURE" else a for a in arguments]
    line = failing(capsys, *arguments, "--out", tmp_path)
    assert "it is a folder" in line and line.endswith(f"Received: {tmp_path}\n")
    assert "nosuch" in failing(capsys, *arguments, "--out", tmp_path / "new" / "sheet.png")
    if arguments[0] != "color-prior":
        line = failing(capsys, *arguments, "--out", tmp_path / "other" / "a.txt")
        assert "ends in .png, .jpg, " in line and line.endswith("a.txt\n")
        assert not (tmp_path / "other").exists()


def test_a_drawing_makes_its_folder(picture, tmp_path):
    out = tmp_path / "new" / "sheet.JPG"
    assert cli.main(["preview", str(picture), "--task", "rotation", "--out", str(out)]) == 0
    assert Image.open(out).format == "JPEG"


def test_a_count_of_nothing(tmp_path, capsys):
    for count in ("0", "-3"):
        line = failing(capsys, "preview", "--task", "rotation", "--count", count, "--out",
                       tmp_path / "a.png")
        assert line == f"keras-pretext: --count is at least 1. Received: {count}\n"


def test_a_file_that_is_no_json_is_named(picture, capsys):
    for arguments in (["publish", "run", "a_name", "--metrics"], ["publish", "run", "a_name",
                      "--card"], ["zoo", "add-metrics", "a_name", "--metrics"]):
        line = failing(capsys, *arguments, picture)
        assert "is no JSON" in line and line.endswith(f"Received: {picture}\n")


def test_debug_shows_where(recipe):
    for arguments in (["--debug", "pretrain", "nowhere.py"], ["pretrain", "nowhere.py", "--debug"]):
        with pytest.raises(ValueError, match="nowhere.py"):
            cli.main(arguments)


@pytest.mark.slow
def test_profile_times_every_part(recipe, capsys):
    assert cli.main(["profile", str(recipe), "--seconds", "0.5"]) == 0
    text = capsys.readouterr().out
    for part in ("pipeline", "model", "whole", "the slow part is the"):
        assert part in text
