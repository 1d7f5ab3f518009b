import json
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.image import color_codes
from keras_pretext.image.color import lightness, to_lab
from keras_pretext.tasks.split_brain import SplitBrain
from keras_pretext.training import Recipe, Trainer, load_run


def small(**options):
    return tasks.get("split_brain", **{"image_size": 32, "stride": 8, "levels": 50, **options})


def network(**options):
    return backbones.get("split_alexnet", **{"image_size": 32, "conv1_stride": 2, **options})


def pictures(rng, count=3, size=40):
    return rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def puzzle(task, images, draws, augment=True):
    return keras.tree.map_structure(np.asarray, task.layer(augment)(images, draws))


def test_colour_and_lightness_of_every_eighth_pixel(rng):
    task = small(framing={"kind": "centre_crop", "size": 32})
    images = pictures(rng, size=32)
    images[0, 0, 0], images[0, 0, 8] = 255, 0
    seen, labels = puzzle(task, images, np.full((3, task.num_draws), 0.9, "float32"))
    np.testing.assert_array_equal(seen, images)
    asked = images[:, ::8, ::8]
    light = np.asarray(lightness(asked))
    assert labels["lightness"].shape == labels["color"].shape == (3, 4, 4)
    assert labels["lightness"].dtype == labels["color"].dtype == np.int32
    np.testing.assert_array_equal(labels["lightness"], np.minimum(light // 2, 49))
    assert labels["lightness"][0, 0, :2].tolist() == [49, 0]  # L of 100 is in the last part
    ab = np.asarray(to_lab(asked.astype("float32") / 255))[..., 1:]
    assert abs(np.asarray(color_codes.from_codes(labels["color"])) - ab).max() < 0.501


def test_mirrored_together(rng):
    task = small(framing={"kind": "centre_crop", "size": 33}, image_size=33)
    images, draws = pictures(rng, 2, 33), np.full((2, task.num_draws), 0.6, "float32")
    seen, labels = puzzle(task, images, draws)
    mirrored, swapped = puzzle(task, images, draws - 0.2)
    np.testing.assert_array_equal(mirrored, seen[:, :, ::-1])
    for name in labels:
        np.testing.assert_array_equal(swapped[name], labels[name][:, :, ::-1])
    np.testing.assert_array_equal(puzzle(task, images, draws - 0.2, augment=False)[0], seen)


def test_pictures_without_colour_cost_nothing(rng):
    """Their ab is 0 everywhere: the one half has nothing to see, the other nothing to tell."""
    task = small()
    images = pictures(rng)
    images[1] = images[1, ..., :1]
    seen, labels = puzzle(task, images, np.full((3, task.num_draws), 0.3, "float32"))
    for values in labels.values():
        assert (values[1] == -1).all() and (values[[0, 2]] >= 0).all()
    model = task.attach(network())
    grey = keras.tree.map_structure(lambda t: t[1:2], labels)
    assert float(model.compute_loss(x=seen[1:2], y=grey, y_pred=model(seen[1:2]))) == 0.0


def test_each_head_hears_the_half_that_does_not_know_the_answer(rng):
    """No way from ab to the colours that are told, nor from L to the lightness."""
    import tensorflow as tf

    task = small(tap="conv5")
    model = task.attach(network())
    seen, labels = puzzle(task, pictures(rng), np.full((3, task.num_draws), 0.3, "float32"))
    outputs = model(seen)
    assert outputs["color"].shape == (3, 4, 4, 313)
    assert outputs["lightness"].shape == (3, 4, 4, 50)
    variables = [v for v in model.backbone.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(seen, training=True)
        sums = {name: tf.reduce_sum(x * x) for name, x in outputs.items()}
    for name, half in (("color", "L"), ("lightness", "ab")):
        for variable, gradient in zip(variables, tape.gradient(
                sums[name], [v.value for v in variables]), strict=True):
            size = 0.0 if gradient is None else float(tf.reduce_max(tf.abs(gradient)))
            own = variable.path.startswith(f"{half}_")
            assert (size > 0) == own, (name, variable.path)


def test_the_loss_is_the_sum_of_both(rng):
    task = small()
    model = task.attach(network())
    seen, labels = puzzle(task, pictures(rng), np.full((3, task.num_draws), 0.3, "float32"))
    outputs = {k: np.zeros((3, 4, 4, n), "float32") for k, n in (("color", 313), ("lightness", 50))}
    loss = float(model.compute_loss(x=seen, y=labels, y_pred=outputs))
    assert loss == pytest.approx(math.log(313) + math.log(50), rel=1e-5)
    assert loss == pytest.approx(task.chance["loss"], rel=1e-5)
    logs = model.compute_metrics(seen, labels, outputs)
    assert {*task.chance} <= {*logs}


def test_the_papers_sizes():
    task = tasks.get("split_brain")
    assert task.levels == 100 and task.layer().framing.resize == 206
    model = task.attach(backbones.get("split_alexnet", fc_units=(8,), image_size=180))
    assert {k: tuple(v.shape[1:]) for k, v in model.output.items()} == {
        "color": (23, 23, 313), "lightness": (23, 23, 100)}
    assert model.get_layer("color_logits").kernel.shape[2] == 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on pictures whose lightness tells their colour, and their colour their lightness."""
    folder = tmp_path_factory.mktemp("split_brain")
    rng = np.random.default_rng(0)
    blue = rng.random((160, 2, 2)) < 0.5
    colours = np.where(blue[..., None], (150, 180, 255), (120, 20, 10)).astype("float32")
    images = colours.repeat(16, 1).repeat(16, 2) + rng.normal(0, 2, (160, 32, 32, 3))
    np.savez(folder / "pictures.npz", images=images.clip(0, 255).astype("uint8"),
             labels=np.arange(160))
    recipe = Recipe(name="halves",
                    task=("split_brain", {"image_size": 32, "levels": 10, "tap": "conv2"}),
                    backbone=("split_alexnet", {"image_size": 32, "conv1_stride": 2}),
                    test_split="train", epochs=2, data=f"npz:{folder / 'pictures.npz'}",
                    batch_size=8, optimizer="adam", learning_rate=0.002, weight_decay=0.0,
                    schedule={"kind": "one_cycle"}, test_images=64)
    Trainer(recipe, folder / "parts", progress=False, max_steps=13).run()
    row = Trainer(recipe, folder / "parts", progress=False).run()
    whole = Trainer(recipe, folder / "whole", progress=False).run()
    return folder, row, whole


def test_training_learns_and_resumes_to_the_bit(run):
    folder, row, whole = run
    assert row["loss"] == whole["loss"] and row["test_loss"] == whole["test_loss"]
    assert row["test_lightness_accuracy"] > 0.8 and row["test_color_accuracy"] > 0.8
    model = load_run(folder / "parts")
    assert row["test_loss"] < 0.4 * model.task.chance["loss"]
    np.testing.assert_array_equal(*(load_run(folder / part).backbone.get_layer(
        "L_conv1").kernel for part in ("parts", "whole")))


def test_probes_see_one_backbone_of_both_halves(run, rng):
    model = load_run(run[0] / "parts")
    features = model.backbone.extractor("conv2", pooling="avg")(pictures(rng))
    assert features.shape == (3, 256) and model.backbone.taps["conv2"].channels == 256


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small()
    model = task.attach(network(fc_units=(4,)))
    seen, _ = puzzle(task, pictures(rng), np.full((3, task.num_draws), 0.1, "float32"))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, expected in model(seen).items():
        np.testing.assert_allclose(again(seen)[name], expected, atol=1e-5)
    assert again.task == task
    assert SplitBrain.from_config(json.loads(json.dumps(task.get_config()))) == task


def test_grey_data_stop_before_training(rng, tmp_path):
    np.savez(tmp_path / "grey.npz", images=rng.integers(0, 256, (12, 30, 30)).astype("uint8"))
    recipe = Recipe(name="grey", task=("split_brain", {"image_size": 32}),
                    backbone="split_alexnet", batch_size=4, test_split=None, epochs=1,
                    data=f"npz:{tmp_path / 'grey.npz'}")
    with pytest.raises(ValueError, match="no colour to learn: none of the 12 .*grey.*Received"):
        Trainer(recipe, tmp_path / "run", progress=False)


@pytest.mark.parametrize("options, message", [
    ({"levels": 1}, "at least 2. Received: 1"), ({"stride": 33}, "stride=33"),
    ({"image_size": 0}, "image_size=0"),
    ({"framing": {"kind": "centre_crop", "size": 20}}, "the image_size, 32. Received: 20")])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_a_backbone_in_one_piece_is_refused():
    for name, options in (("alexnet", {"fc_units": ()}), ("network_in_network", {"blocks": 2})):
        with pytest.raises(ValueError, match=f"two halves.*split_alexnet. Received: {name}"):
            small().attach(backbones.get(name, **options))


def test_preview(rng):
    task = small()
    image = np.full((40, 50, 3), (200, 60, 40), "uint8")
    row, = task.preview([image], rng.random((1, task.num_draws), dtype=np.float32))
    assert [title for title, _ in row] == ["picture", "half L sees", "and tells", "half ab sees",
                                           "and tells"]
    assert all(x.dtype == np.uint8 and x.shape[-1] == 3 for _, x in row)
    grey, told, ab, light = (x[0, 0].astype(int) for _, x in row[1:])
    assert np.ptp(grey) == 0 and np.ptp(light) <= 1 and abs(grey[0] - light[0]) < 8
    assert told[0] > told[1] + 60 and ab[0] > ab[1] + 60


_PROGRAM = """
import sys
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_pretext.training import Recipe, Trainer

folder, task, network = sys.argv[1:]
options = {"image_size": 32, "stride": 8, "tap": "conv2"}
if task == "colorization":
    options["prior"] = "cifar10_jpeg"
ends = []
for replicas in (1, 2):
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"][:replicas], cross_device_ops=tf.distribute.ReductionToOneDevice())
    recipe = Recipe(name="two", task=(task, options), test_split=None, epochs=1, batch_size=4,
                    backbone=(network, {"flavour": "deepcontext", "fc_units": ()}),
                    data=f"npz:{folder}/pictures.npz", learning_rate=0.05, weight_decay=0.0)
    trainer = Trainer(recipe, f"{folder}/{task}{replicas}", strategy=strategy, progress=False,
                      max_steps=2)
    row = trainer.run()
    ends.append([row["loss"], *(np.asarray(v) for v in trainer.model.trainable_variables)])
assert np.isfinite(ends[0][0])
for a, b in zip(*ends, strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.parametrize("task, network", [("colorization", "alexnet"),
                                           ("split_brain", "split_alexnet")])
def test_two_replicas_are_one(task, network, rng, tmp_path):
    """Of four pictures two are without colour, on one replica: both count the same examples."""
    images = pictures(rng, 8, 32)
    images[::2] = images[::2, ..., :1]
    np.savez(tmp_path / "pictures.npz", images=images, labels=np.arange(8))
    subprocess.run([sys.executable, "-c", _PROGRAM, tmp_path, task, network], check=True,
                   timeout=900)


def test_the_layer_is_the_same_on_jax(rng, tmp_path):
    images = pictures(rng, 4)
    task = small()
    draws = rng.random((4, task.num_draws), dtype=np.float32)
    seen, labels = puzzle(task, images, draws)
    np.savez(tmp_path / "in.npz", images=images, draws=draws)
    program = f"""
import jax, numpy as np
from keras_pretext import tasks
x = np.load({str(tmp_path / 'in.npz')!r})
task = tasks.get("split_brain", image_size=32, stride=8, levels=50)
inputs, labels = jax.jit(task.layer())(x["images"], x["draws"])
np.savez({str(tmp_path / 'out.npz')!r}, inputs=inputs, **labels)
"""
    subprocess.run([sys.executable, "-c", program], check=True,
                   env={**os.environ, "KERAS_BACKEND": "jax"})
    found = np.load(tmp_path / "out.npz")
    assert abs(found["inputs"].astype(int) - seen).max() <= 1
    for name, expected in labels.items():
        assert (found[name] == expected).mean() > 0.95
