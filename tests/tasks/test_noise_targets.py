import itertools
import json
import os
import pathlib
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from keras_pretext import backbones, data, tasks
from keras_pretext.data import pipeline as pipelines
from keras_pretext.losses.noise_targets import best_assignment, sphere_points
from keras_pretext.tasks.noise_targets import NoiseTargets
from keras_pretext.training import Recipe, Trainer, evaluate, load_run, train
from keras_pretext.training import tables as training_tables
from keras_pretext.training.recipe import load_recipe

QUICK = ("resnet", {"depth": 11, "blocks": 2, "flavour": "cifar"})
WIDE = ("network_in_network", {"blocks": 2, "sobel": True})


def small(**options):
    return tasks.get("noise_targets", **{"dim": 8, "image_size": 16, **options})


def recipe(npz, **fields):
    return Recipe(name="nat", task=("noise_targets", {"dim": 8, "image_size": 16}),
                  data=f"npz:{npz}", **{
                      "backbone": QUICK, "test_split": None, "epochs": 5, "batch_size": 16,
                      "learning_rate": 0.02, "checkpoint_steps": 4, **fields})


class Stub:
    """What `before_step` reads of a trainer."""

    def __init__(self, task, count, step=0, steps_per_epoch=1, seed=0):
        self.tables = task.tables(types.SimpleNamespace(num_examples=count), seed)
        self.step, self.steps_per_epoch = step, steps_per_epoch


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype("float32")


def test_every_example_has_a_point_of_its_own_in_an_order_of_the_seeds():
    task = small()
    first, same, other = (Stub(task, 100, seed=s).tables for s in (0, 0, 1))
    assert first["assignment"].dtype == np.int32 and first["seed"] == 0
    np.testing.assert_array_equal(np.sort(first["assignment"]), np.arange(100))
    np.testing.assert_array_equal(first["assignment"], same["assignment"])
    assert (first["assignment"] != other["assignment"]).mean() > 0.9
    assert (first["assignment"] != np.arange(100)).mean() > 0.9


def test_the_best_points_are_assigned_within_the_batch_only(rng):
    task, index = small(), np.array([3, 17, 5, 40, 22])
    trainer, outputs = Stub(task, 50), unit(rng, 5, 8)
    before = trainer.tables["assignment"].copy()
    found = task.before_step(trainer, index, lambda: outputs)
    after = trainer.tables["assignment"]
    others = np.setdiff1d(np.arange(50), index)
    np.testing.assert_array_equal(after[others], before[others])
    np.testing.assert_array_equal(np.sort(after[index]), np.sort(before[index]))
    points = sphere_points(0, before[index], 8)
    best = max(sum(outputs[i] @ points[p] for i, p in enumerate(order))
               for order in itertools.permutations(range(5)))
    assert (outputs * found).sum() == pytest.approx(best, rel=1e-5)
    assert best > (outputs * points).sum()  # it was not the best before
    np.testing.assert_array_equal(found, sphere_points(0, after[index], 8))


def test_only_every_third_epoch_assigns(rng):
    task, index, asked = small(), np.arange(20), []
    for epoch in range(7):
        trainer = Stub(task, 20, step=epoch * 10 + 4, steps_per_epoch=10)
        before = trainer.tables["assignment"].copy()

        def outputs(epoch=epoch):
            asked.append(epoch)
            return unit(rng, 20, 8)

        found = task.before_step(trainer, index, outputs)
        after = trainer.tables["assignment"]
        assert np.array_equal(before, after) == (epoch % 3 != 0)
        np.testing.assert_array_equal(found, sphere_points(0, after, 8))
    assert asked == [0, 3, 6]


def test_the_pipeline_gives_the_examples_indices(npz, tmp_path):
    """Whether pictures are kept in memory or decoded one by one."""
    from PIL import Image

    layer = small().layer()
    arrays = data.open(f"npz:{npz}")
    for k in range(12):
        Image.fromarray(arrays.arrays()[0][k][:, :20 + k]).save(tmp_path / f"{k:02}.png")
    for source in (arrays, data.open(f"folder:{tmp_path}")):
        expected = pipelines.index_batches(source.num_examples, 6, 5)
        for (images, index), (_, own) in zip(
                pipelines.pipeline(source, layer, 6, 5, steps=3), expected, strict=False):
            np.testing.assert_array_equal(index, own)
            assert images.shape == (6, 16, 16, 3) and images.dtype == "uint8"


def test_stopping_anywhere_and_resuming_gives_the_same_to_the_bit(npz, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(recipe(npz), whole, progress=False)
    for steps in (3, 8, 6, 4, None):  # in the middle of an assignment, at an epoch's end
        train(recipe(npz), parts, progress=False, max_steps=steps)
    for a, b in zip(load_run(whole).weights, load_run(parts).weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    ends = [np.load(out / "final" / "tables.npz") for out in (whole, parts)]
    np.testing.assert_array_equal(ends[0]["assignment"], ends[1]["assignment"])
    start = small().tables(types.SimpleNamespace(num_examples=96), 0)["assignment"]
    np.testing.assert_array_equal(np.sort(ends[0]["assignment"]), np.sort(start))
    assert (ends[0]["assignment"] != start).mean() > 0.5
    written = json.loads((parts / "final" / "tables.json").read_text())
    assert written == training_tables.fingerprint(dict(ends[0]))


def test_a_checkpoint_keeps_the_assignment_of_its_step(npz, tmp_path):
    trainer = Trainer(recipe(npz), tmp_path, progress=False, max_steps=3)
    trainer.run()
    changed = trainer.tables["assignment"].copy()
    assert not np.array_equal(changed, trainer.task.tables(trainer.source, 0)["assignment"])
    np.testing.assert_array_equal(
        Trainer(recipe(npz), tmp_path, progress=False).tables["assignment"], changed)


def test_the_assignment_of_other_data_is_refused(npz, tmp_path):
    train(recipe(npz), tmp_path / "run", progress=False, max_steps=1)
    with np.load(npz) as file:
        images, labels = file["images"][:80], file["labels"][:80]
    np.savez(npz, images=images, labels=labels)
    with pytest.raises(ValueError, match=r"do not fit.*int32\[80\].*Received.*int32\[96\]"):
        Trainer(recipe(npz), tmp_path / "run", progress=False)


def test_points_are_assigned_by_the_very_outputs_of_the_step(npz, tmp_path):
    """Training mode: the batch's statistics and the step's own dropout, and nothing moves."""
    trainer = Trainer(recipe(npz), tmp_path, progress=False)
    seen, model = [], trainer.model
    inputs = np.random.default_rng(1).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)
    weights = [np.asarray(w) for w in model.variables]
    trainer.task.before_step = lambda trainer, labels, outputs: seen.append(outputs()) or labels
    training_tables.labels(trainer, inputs, np.arange(16))
    for before, variable in zip(weights, model.variables, strict=True):
        np.testing.assert_array_equal(before, np.asarray(variable))
    np.testing.assert_allclose(seen[0], np.asarray(model(inputs, training=True)), atol=1e-5)
    assert abs(seen[0] - np.asarray(model(inputs, training=False))).max() > 1e-3


def test_outputs_have_norm_one_over_the_features_of_each_picture(rng):
    model = small().attach(backbones.get("network_in_network", blocks=2, sobel=True))
    x = np.asarray(model(rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8), training=False))
    assert x.shape == (5, 8) and x.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    assert abs(np.linalg.norm(x, axis=0) - 1).max() > 0.05


def test_it_learns_and_knowing_nothing_costs_two(npz, tmp_path):
    row = train(recipe(npz, backbone=WIDE, epochs=10, learning_rate=0.05), tmp_path,
                progress=False)
    assert row["loss"] < 1.2 and row["accuracy"] > 0.8
    task = small()
    assert task.chance == {"loss": 2.0, "accuracy": 0.5}
    points = sphere_points(0, np.arange(2000), 8)
    fixed = np.broadcast_to(points[:1], points.shape)
    assert float(task.objective()["loss"](points, fixed)) == pytest.approx(2, abs=0.05)


def test_held_out_pictures_share_points_among_their_batch(npz, tmp_path, rng):
    task, outputs = small(), unit(rng, 6, 8)
    points = sphere_points(0, np.arange(6), 8)
    expected = points[best_assignment(outputs, points)]
    np.testing.assert_allclose(task.held_out(outputs, np.arange(6)), expected)
    train(recipe(npz, backbone=WIDE, epochs=1, test_split="train"), tmp_path, progress=False)
    found = evaluate(load_run(tmp_path), data.open(f"npz:{npz}"), 32)
    assert found["images"] == 96 and 0 < found["loss"] < 2 and found["accuracy"] > 0.5


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small(every=2, flip=False)
    model = task.attach(backbones.get("network_in_network", blocks=2, sobel=True))
    images = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)
    assert again.task == task and task == NoiseTargets.from_config(task.get_config())
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_the_layer_crops_and_mirrors(rng):
    task = small()
    image, draws = rng.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8), np.full((1, 3), 0.5, "f4")
    found, label = task.layer()(image, draws)
    np.testing.assert_array_equal(found, image)
    assert label.shape == (1, 8)
    draws[:, -1] = 0.2
    np.testing.assert_array_equal(task.layer()(image, draws)[0], image[:, :, ::-1])
    np.testing.assert_array_equal(task.layer(augment=False)(image, draws)[0], image)


@pytest.mark.parametrize("options, message", [
    ({"dim": 1}, "at least 2.*Received: dim=1"), ({"every": 0}, "at least 1. Received.*every=0"),
    ({"framing": {"kind": "centre_crop", "size": 33}}, "image_size, 16. Received: 33"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview_shows_the_edges(rng):
    task = small()
    row, = task.preview([rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)],
                        np.full((1, task.num_draws), 0.5))
    assert [title for title, _ in row] == ["picture", "edges, left - right",
                                           "edges, top - bottom", "part of its point"]
    assert all(picture.dtype == np.uint8 and picture.shape == (16, 16, 3) for _, picture in row)


_ELSEWHERE = """
import sys
import numpy as np
kind, npz, out = sys.argv[1:]
if kind == "two":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_pretext.training import Recipe, Trainer
strategy = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
) if kind == "two" else None
network = ("resnet", {"depth": 11, "blocks": 2, "flavour": "cifar"})
recipe = Recipe(name="nat", task=("noise_targets", {"dim": 8, "image_size": 16}),
                backbone=network, data="npz:" + npz,
                test_split=None, epochs=2, batch_size=16, learning_rate=0.02, checkpoint_steps=4)

def run(folder, steps=None):
    trainer = Trainer(recipe, out + folder, strategy=strategy, progress=False, max_steps=steps)
    choose, seen = trainer.task.before_step, []

    def watched(trainer, index, outputs):
        labels = choose(trainer, index, outputs)
        seen.append((outputs(), labels))
        return labels

    trainer.task.before_step = watched
    row = trainer.run()
    if steps == 1:  # each replica had the targets of its own pictures
        answers, labels = seen[0]
        assert answers.shape == labels.shape == (16, 8)
        np.testing.assert_allclose(row["loss"], ((answers - labels) ** 2).sum(1).mean(), rtol=1e-4)
    return trainer

run("/parts", 1)
parts = run("/parts", 6)
parts = run("/parts")
start = parts.task.tables(parts.source, 0)["assignment"]
end = np.load(out + "/parts/final/tables.npz")["assignment"]
assert (np.sort(end) == np.arange(96)).all() and (end != start).mean() > 0.5
if kind == "jax":
    whole = run("/whole")
    assert (whole.tables["assignment"] == end).all()
    for a, b in zip(whole.model.weights, parts.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
"""


@pytest.mark.parametrize("kind, backend", [("two", "tensorflow"), ("jax", "jax")])
def test_two_replicas_and_jax(npz, tmp_path, kind, backend):
    pytest.importorskip(backend)
    script = tmp_path / "script.py"
    script.write_text(_ELSEWHERE)
    done = subprocess.run([sys.executable, script, kind, npz, tmp_path], text=True, timeout=900,
                          env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_papers_rate_is_for_the_sum_over_the_batch():
    """The authors' code steps by 0.01 times the gradient of a sum; this loss is a mean."""
    recipe = load_recipe(pathlib.Path(__file__).parents[2] / "recipes/nat_alexnet_imagenet.py")
    assert recipe.learning_rate == 0.01 * recipe.batch_size
    assert recipe.momentum == recipe.weight_decay == 0
