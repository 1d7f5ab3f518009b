import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_pretext import backbones, cli, tasks
from keras_pretext.data.arrays import ArraySource
from keras_pretext.image import color_codes
from keras_pretext.image.color import AB_BINS, lightness, to_lab
from keras_pretext.tasks import color_prior
from keras_pretext.tasks.colorization import Colorization
from keras_pretext.training import Recipe, Trainer, load_run
from keras_pretext.visualize import colorize


def small(**options):
    return tasks.get("colorization", **{"image_size": 24, "stride": 4, **options})


def network(**options):
    return backbones.get("colorization_net", width=0.05, **options)


def pictures(rng, count=3, size=30):
    return rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def puzzle(task, images, draws, augment=True):
    return [np.asarray(x) for x in task.layer(augment)(images, draws)]


def test_the_network_sees_lightness_and_is_asked_for_every_fourth_pixel(rng):
    task = small(framing={"kind": "centre_crop", "size": 24})
    images = pictures(rng, size=24)
    grey, codes = puzzle(task, images, np.full((3, task.num_draws), 0.9, "float32"))
    assert grey.shape == (3, 24, 24, 1) and grey.dtype == np.uint8
    light = np.asarray(lightness(images))
    assert abs(np.asarray(lightness(np.repeat(grey, 3, -1))) - light).max() < 0.25
    assert codes.shape == (3, 6, 6) and codes.dtype == np.int32
    ab = np.asarray(to_lab(images.astype("float32") / 255))[:, ::4, ::4, 1:]
    assert abs(np.asarray(color_codes.from_codes(codes)) - ab).max() < 0.501


def test_half_of_the_pictures_are_mirrored_with_their_colours(rng):
    task = small(framing={"kind": "centre_crop", "size": 25}, image_size=25)
    image = pictures(rng, 1, 25)
    draws = np.zeros((1, task.num_draws), "float32")
    grey, codes = puzzle(task, image, draws + 0.6)
    for other, draw in ((small(framing=task.framing, image_size=25, flip=False), 0.2),
                        (task, 0.5)):
        np.testing.assert_array_equal(puzzle(other, image, draws + draw)[1], codes)
    mirrored, swapped = puzzle(task, image, draws + 0.4)
    np.testing.assert_array_equal(mirrored[0], grey[0, :, ::-1])
    np.testing.assert_array_equal(swapped[0], codes[0, :, ::-1])  # 0, 4 ... 24: the same pixels
    np.testing.assert_array_equal(puzzle(task, image, draws + 0.4, augment=False)[1], codes)


def test_pictures_without_colour_are_not_asked(rng):
    """T-21."""
    task = small()
    images = pictures(rng)
    images[1] = images[1, ..., :1]
    draws = np.full((3, task.num_draws), 0.3, "float32")
    inputs, codes = puzzle(task, images, draws)
    assert (codes[1] == -1).all() and (codes[[0, 2]] >= 0).all()
    model = task.attach(network())
    loss = model.compute_loss(x=inputs[1:2], y=codes[1:2], y_pred=model(inputs[1:2]))
    assert float(loss) == 0.0


def test_colour_of_the_input_cannot_reach_any_backbone(rng):
    """One hue or another of the same lightness: the same input, whatever the backbone sees."""
    red = np.full((24, 24, 3), (255, 0, 0), "uint8")
    task = small(framing={"kind": "centre_crop", "size": 24})
    draws = np.zeros(task.num_draws, "float32")
    grey = np.repeat(puzzle(task, red, draws)[0], 3, -1)
    again, codes = puzzle(task, grey, draws)
    np.testing.assert_array_equal(np.repeat(again, 3, -1), grey)
    assert (codes == -1).all()
    model = task.attach(backbones.get("network_in_network", blocks=2))  # a network of RGB
    assert model.input_shape == (None, 24, 24, 1) and model.output_shape == (None, 6, 6, 313)


def test_the_prior_of_the_data_is_counted_once_and_kept(rng):
    source = ArraySource(pictures(rng, 20), name="noise")
    task = small()
    assert task.weights is None and task.get_config()["prior"] == "data"
    prepared = task.prepare(source, 0)
    np.testing.assert_array_equal(prepared["counts"], color_prior.count(source)["counts"])
    task.adopt(prepared)
    np.testing.assert_allclose(task.weights, color_prior.rebalancing(prepared["counts"], 0.5))
    loss = task.objective()["loss"]
    np.testing.assert_allclose(loss.weights, task.weights)
    again = Colorization.from_config(json.loads(json.dumps(task.get_config())))
    assert again == task and again.prepare(source, 0) == {}
    np.testing.assert_array_equal(again.weights, task.weights)
    assert small(prior="cifar10_jpeg", mix=1.0).objective()["loss"].weights is None


def test_grey_data_stop_before_training(rng, tmp_path):
    grey = rng.integers(0, 256, (12, 30, 30)).astype("uint8")
    np.savez(tmp_path / "grey.npz", images=grey)
    for options in ({}, {"prior": "cifar10_jpeg"}, {"target": "ab"}):
        recipe = Recipe(name="grey", task=("colorization", {"image_size": 24, **options}),
                        backbone=("colorization_net", {"width": 0.05}), batch_size=4,
                        data=f"npz:{tmp_path / 'grey.npz'}", test_split=None, epochs=1)
        with pytest.raises(ValueError, match="no colour to learn: none of the 12 .*grey.*Received"):
            Trainer(recipe, tmp_path / str(sorted(options)), progress=False)
    assert not [*tmp_path.rglob("metrics.jsonl")]


@pytest.mark.parametrize("options", [{}, {"prior": "tiny_imagenet_part"}, {"target": "ab"},
                                     {"prior": "cifar10_jpeg", "mix": 1.0, "neighbours": 10}])
def test_chance_is_the_best_constant_answer(options, rng):
    """Of colours that are exactly bins: no constant is better, and chance is reached."""
    task = small(**options)
    counts = np.ones(313) if task.counts is None else np.array(task.counts)
    places = rng.choice(313, 40000, p=counts / counts.sum())
    codes = np.asarray(color_codes.to_codes(AB_BINS))[places].reshape(1, 200, 200)
    loss = task.objective()["loss"]
    if task.target == "ab":
        best = (AB_BINS[places].mean(0) + 0.5) / 50
    else:
        weights = np.ones(313) if task.weights is None else task.weights
        indices, shares = (np.asarray(x) for x in color_codes.soft_encoding(
            codes.ravel(), task.neighbours))
        mass = np.zeros(313)
        np.add.at(mass, indices, weights[places][:, None] * shares)
        best = np.log(np.maximum(mass, 1e-12))
    answer = np.broadcast_to(best.astype("float32"), (1, 200, 200, len(best)))
    found = float(loss(codes, answer))
    assert found == pytest.approx(task.chance["loss"], rel=0.03)
    worse = answer + rng.normal(0, 0.3, len(best)).astype("float32")
    assert float(loss(codes, worse)) > found


def test_the_papers_sizes():
    task = tasks.get("colorization", prior="tiny_imagenet_part")
    model = task.attach(backbones.get("colorization_net", width=0.02))
    assert model.input_shape == (None, 176, 176, 1) and model.output_shape == (None, 44, 44, 313)
    assert task.layer().framing.resize == 201 and (task.mix, task.neighbours) == (0.5, 5)
    task = tasks.get("colorization", image_size=180, stride=8)
    model = task.attach(backbones.get("alexnet", flavour="colorization", fc_units=(8,),
                                      image_size=180, color="L"))
    assert model.get_layer("colors").output.shape == (None, 12, 12, 313)
    assert model.output_shape == (None, 23, 23, 313)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small(prior="cifar10_jpeg", tap="conv7")
    model = task.attach(network())
    inputs, _ = puzzle(task, pictures(rng), np.full((3, task.num_draws), 0.1, "float32"))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(inputs), model(inputs), atol=1e-5)
    assert again.task == task and again.task.counts == task.counts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on pictures whose lightness tells their colour: bright is blue, dark is red."""
    folder = tmp_path_factory.mktemp("colorization")
    rng = np.random.default_rng(0)
    blue = rng.random((240, 2, 2)) < 0.5
    colours = np.where(blue[..., None], (150, 180, 255), (120, 20, 10)).astype("float32")
    images = colours.repeat(16, 1).repeat(16, 2) + rng.normal(0, 2, (240, 32, 32, 3))
    images = images.clip(0, 255).astype("uint8")
    np.savez(folder / "pictures.npz", images=images, labels=np.arange(240))
    recipe = Recipe(name="colours", task=("colorization", {"image_size": 32, "tap": "conv4"}),
                    backbone=("colorization_net", {"width": 0.1}), test_split="train", epochs=2,
                    data=f"npz:{folder / 'pictures.npz'}", batch_size=8, optimizer="adam",
                    learning_rate=0.01, schedule={"kind": "one_cycle"}, weight_decay=0.0,
                    test_images=64)
    Trainer(recipe, folder / "parts", progress=False, max_steps=20).run()
    row = Trainer(recipe, folder / "parts", progress=False).run()
    whole = Trainer(recipe, folder / "whole", progress=False).run()
    return folder, images, row, whole


def test_training_learns_and_resumes_to_the_bit(run):
    folder, _, row, whole = run
    assert row["loss"] == whole["loss"] and row["test_loss"] == whole["test_loss"]
    model = load_run(folder / "parts")
    assert row["test_accuracy"] > 0.9 and row["test_loss"] < 0.75 * model.task.chance["loss"]
    final = np.load(folder / "parts" / "final" / "tables.npz")
    np.testing.assert_array_equal(final["counts"], model.task.counts)


def test_colorize_at_full_size_with_the_original_lightness(run):
    """A grey picture wider than those it learnt from, in another aspect ratio."""
    folder, _, _, _ = run
    model = load_run(folder / "parts")
    greys = {"blue": 181, "red": 60}  # of the lightness of the two colours
    image = np.full((100, 240), greys["red"], "uint8")
    image[:, 120:] = greys["blue"]
    out = colorize(model, image)
    assert out.shape == (100, 240, 3) and out.dtype == np.uint8
    light = [np.asarray(lightness(x)) for x in (out, np.repeat(image[..., None], 3, -1))]
    assert abs(light[0] - light[1])[:, 10:230].max() < 3  # but where no such colour exists
    left, right = (out[20:80, part].reshape(-1, 3).mean(0) for part in (
        slice(10, 90), slice(150, 230)))
    assert left[0] > left[2] + 40 and right[2] > right[0] + 40
    coloured = colorize(model, np.repeat(image[..., None], 3, -1))
    np.testing.assert_array_equal(coloured, out)
    pale = colorize(model, image, temperature=50.0)
    assert np.ptp(pale, -1).mean() < 0.7 * np.ptp(out, -1).mean()


def test_colorize_from_the_command_line(run, tmp_path, capsys):
    folder, images, _, _ = run
    Image.fromarray(images[0, :20]).save(tmp_path / "small.png")
    out, model = tmp_path / "out.png", folder / "parts"
    assert cli.main(["colorize", str(tmp_path / "small.png"), "--model", str(model),
                     "--out", str(out)]) == 0
    assert Image.open(out).size == (32, 20)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for arguments, message in (
            ([tmp_path / "broken.png"], "not a readable picture"),
            ([tmp_path / "none.png"], "none.png"),
            ([tmp_path / "small.png", "--temperature", "-1"], "temperature is 0 or positive"),
            ([tmp_path / "small.png", "--size", "0"], "at least 1 pixel")):
        capsys.readouterr()
        command = ["colorize", *map(str, arguments), "--model", str(model), "--out", str(out)]
        assert cli.main(command) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_color_prior_from_the_command_line(run, tmp_path, capsys):
    folder, images, _, _ = run
    out = tmp_path / "prior.json"
    assert cli.main(["color-prior", f"npz:{folder / 'pictures.npz'}", "--out", str(out)]) == 0
    assert "in 240 pictures, 0 grey ones left out" in capsys.readouterr().out
    task = small(prior=str(out))
    np.testing.assert_array_equal(task.counts, color_prior.count(ArraySource(images))["counts"])


def test_only_a_colorization_model_colours(rng):
    model = tasks.get("rotation", image_size=32).attach(
        backbones.get("network_in_network", blocks=2))
    for wrong, name in ((model, "rotation"), (model.backbone, "NetworkInNetwork")):
        with pytest.raises(ValueError, match=f"task 'colorization'. Received: .*{name}"):
            colorize(wrong, pictures(rng)[0])
    ours = small().attach(network())
    for image in (np.zeros((4, 4, 3)), np.zeros((4, 4, 2), "uint8"), np.zeros((0, 4), "uint8")):
        with pytest.raises(ValueError, match="a picture is uint8.*Received"):
            colorize(ours, image)
    assert colorize(ours, np.full((1, 300), 90, "uint8")).shape == (1, 300, 3)


def test_regression_gives_ab(rng):
    task = small(target="ab")
    task.adopt(task.prepare(ArraySource(pictures(rng)), 0))
    model = task.attach(network())
    inputs, codes = puzzle(task, pictures(rng), np.full((3, task.num_draws), 0.1, "float32"))
    outputs = model(inputs)
    assert outputs.shape == (3, 6, 6, 2)
    logs = model.compute_metrics(inputs, codes, outputs)
    assert logs["distance"] > 0
    np.testing.assert_allclose(task.to_ab(outputs), 50 * np.asarray(outputs))
    assert colorize(model, pictures(rng)[0]).shape == (30, 30, 3)


def test_the_layer_is_the_same_on_jax(rng, tmp_path):
    images = pictures(rng, 4)
    task = small(prior="cifar10_jpeg")
    draws = rng.random((4, task.num_draws), dtype=np.float32)
    inputs, codes = puzzle(task, images, draws)
    np.savez(tmp_path / "in.npz", images=images, draws=draws)
    program = f"""
import jax, numpy as np
from keras_pretext import backbones, tasks
x = np.load({str(tmp_path / 'in.npz')!r})
task = tasks.get("colorization", image_size=24, stride=4, prior="cifar10_jpeg")
inputs, codes = jax.jit(task.layer())(x["images"], x["draws"])
model = task.attach(backbones.get("network_in_network", blocks=2))
loss = float(model.compute_loss(x=inputs, y=codes, y_pred=model(inputs)))
assert np.isfinite(loss)
np.savez({str(tmp_path / 'out.npz')!r}, inputs=inputs, codes=codes)
"""
    subprocess.run([sys.executable, "-c", program], check=True,
                   env={**os.environ, "KERAS_BACKEND": "jax"})
    found = np.load(tmp_path / "out.npz")
    assert abs(found["inputs"].astype(int) - inputs).max() <= 1  # rounding of a power
    assert (found["codes"] == codes).mean() > 0.97


@pytest.mark.parametrize("options, message", [
    ({"target": "class"}, "Did you mean 'classes'"), ({"stride": 0}, "stride=0"),
    ({"mix": 1.5}, "mix is a share.*1.5"), ({"prior": "cifar"}, "colour prior.*Received: 'cifar'"),
    ({"neighbours": 0}, "1 to 313"), ({"temperature": -0.1}, "0 or positive.*-0.1"),
    ({"framing": {"kind": "centre_crop", "size": 20}}, "the image_size, 24. Received: 20"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview_shows_what_is_seen_and_what_is_asked(rng):
    task = small()
    image = np.full((40, 50, 3), (200, 60, 40), "uint8")
    row, = task.preview([image], rng.random((1, task.num_draws), dtype=np.float32))
    assert [title for title, _ in row] == ["picture", "seen", "nearest of 313", "mean of 5"]
    assert all(x.shape == (24, 24, 3) and x.dtype == np.uint8 for _, x in row)
    assert (row[1][1] == row[1][1][..., :1]).all()
    for _, shown in row[2:]:
        assert abs(shown.astype(int) - [200, 60, 40]).max() < 25
