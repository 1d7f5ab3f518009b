import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from tiny_trunk import TRUNK

from keras_pretext import backbones, data, tasks
from keras_pretext.data.draws import draws
from keras_pretext.training import Recipe, Trainer, load_run, train
from keras_pretext.training.pretext_metrics import evaluate

RP = ["relative_patch", {"patch": 8, "gap": 4, "jitter": 1, "grid": 2, "hidden": [8],
                         "framing": {"kind": "resize_crop", "size": 22}}]
COL = ["colorization", {"image_size": 16, "stride": 4, "prior": "cifar10_jpeg"}]
EX = ["exemplar_triplet", {"copies": 2, "image_size": 12, "dim": 8, "negatives": "all",
                           "framing": {"kind": "centre_crop", "size": 20}}]
MS = ["motion_segmentation", {"image_size": 16, "stride": 4}]
ROT = ["rotation", {"image_size": 12, "framing": {"kind": "resize_crop", "size": 12}}]
HALF = ["rotation", {**ROT[1], "angles": [0, 180]}]
ALL = {"rp": RP, "col": COL, "ex": EX, "rot": ROT, "half": HALF}


def small(**options):
    return tasks.get("ensemble", **{"tasks": ALL, "image_size": 24, **options})


def attached(task, seed=0):
    keras.utils.set_random_seed(seed)
    return task.attach(backbones.get(TRUNK[0], **TRUNK[1]))


def batch(task, rng, count=4):
    images = rng.integers(0, 256, (count, 30, 28, 3), dtype=np.uint8)
    return task.layer()(keras.ops.convert_to_tensor(images),
                        draws(0, 0, np.arange(count), task.num_draws))


def test_every_task_gets_the_puzzle_that_it_makes_alone(rng):
    task = small()
    images = rng.integers(0, 256, (3, 30, 28, 3), dtype=np.uint8)
    numbers = draws(0, 0, np.arange(3), task.num_draws)
    inputs, labels = task.layer()(keras.ops.convert_to_tensor(images), numbers)
    framed = task.framing(keras.ops.convert_to_tensor(images), numbers[:, :2])
    first = task.framing.num_draws
    for name, one in task.tasks.items():
        alone = one.layer()(framed, numbers[:, first:first + one.num_draws])
        np.testing.assert_array_equal(inputs[name], alone[0])
        np.testing.assert_array_equal(labels[name], alone[1])
        first += one.num_draws
    assert first == task.num_draws
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def gradients(model, name, inputs, labels):
    """Of one task's loss, by variable, as Keras alone computes it."""
    import tensorflow as tf

    head, loss = model.heads[name], model.task.tasks[name].objective()["loss"]
    with tf.GradientTape() as tape:
        value = loss(labels[name], head(inputs[name], training=True)) + sum(head.losses)
    return tape.gradient(value, head.trainable_variables)


def stepped(task, optimizer, rng):
    """A model, its batch, and its variables before and after a step."""
    model = attached(task)
    model.compile(optimizer=optimizer, **task.objective())
    model.build_optimizers()
    inputs, labels = batch(task, rng)
    before = {id(v): np.array(v) for v in model.trainable_variables}
    logs = model.train_step((inputs, labels))
    return model, inputs, labels, before, {k: float(v) for k, v in logs.items()}


def test_updates_are_summed_and_each_task_moves_its_own_head(rng):
    task = small(only=["rot", "half"], lasso=0.1)
    model, inputs, labels, before, logs = stepped(task, keras.optimizers.SGD(0.1), rng)
    fresh = attached(task)
    expected, norms = dict(before), {}
    where = {id(a): id(b) for a, b in zip(fresh.trainable_variables, model.trainable_variables,
                                          strict=True)}
    trunk = {id(v) for v in fresh.backbone.trainable_variables}
    for name in task.tasks:
        norms[name] = 0.0
        for v, g in zip(fresh.heads[name].trainable_variables,
                        gradients(fresh, name, inputs, labels), strict=True):
            expected[where[id(v)]] = expected[where[id(v)]] - 0.1 * np.array(g)
            norms[name] += float((np.array(g) ** 2).sum()) if id(v) in trunk else 0.0
    for v in model.trainable_variables:
        np.testing.assert_allclose(v, expected[id(v)], rtol=1e-3, atol=1e-5)
    share = norms["rot"] ** 0.5 / (norms["rot"] ** 0.5 + norms["half"] ** 0.5)
    assert logs["rot_gradient_share"] == pytest.approx(share, rel=1e-3)
    assert logs["rot_gradient_share"] + logs["half_gradient_share"] == pytest.approx(1)
    assert logs["loss"] == pytest.approx(logs["rot_loss"] + logs["half_loss"] + 0.2 * 2**0.5,
                                         rel=1e-5)
    assert logs["rot_units"] == pytest.approx(2, rel=1e-3)


def test_optimizer_states_are_the_tasks_own(rng):
    """Adam's first step is the sign of the gradient: of each task, not of the sum."""
    task = small(only=["rot", "half"])
    model, inputs, labels, before, _ = stepped(task, keras.optimizers.Adam(0.001), rng)
    fresh = attached(task)
    place = {id(b): k for k, b in enumerate(fresh.trainable_variables)}
    signs = [0.0] * len(place)
    for name in task.tasks:
        for v, g in zip(fresh.heads[name].trainable_variables,
                        gradients(fresh, name, inputs, labels), strict=True):
            signs[place[id(v)]] = signs[place[id(v)]] + np.sign(g) * (np.abs(g) > 1e-4)
    kernel = model.backbone.get_layer("unit1_conv").kernel
    k = [id(v) for v in model.trainable_variables].index(id(kernel))
    moved = (before[id(kernel)] - np.array(kernel)) / 0.001
    assert (np.round(moved) == signs[k]).mean() > 0.95
    assert (abs(np.round(moved)) == 2).mean() > 0.2  # both tasks took a whole step


def test_alternate_updates_begin_where_the_task_before_has_ended(rng):
    task = small(only=["rot", "half"], updates="alternate")
    model, inputs, labels, _, _ = stepped(task, keras.optimizers.SGD(0.1), rng)
    by_hand = attached(task)
    for name in task.tasks:
        found = gradients(by_hand, name, inputs, labels)
        for v, g in zip(by_hand.heads[name].trainable_variables, found, strict=True):
            v.assign(np.array(v) - 0.1 * np.array(g))
    for a, b in zip(model.trainable_variables, by_hand.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    summed = stepped(small(only=["rot", "half"]), keras.optimizers.SGD(0.1), rng)[0]
    kernels = [m.backbone.get_layer("unit1_conv").kernel for m in (model, summed)]
    assert abs(np.array(kernels[0]) - np.array(kernels[1])).max() > 1e-4


def recipe(npz, **fields):
    options = {"tasks": {"rot": ROT, "half": HALF}, "image_size": 20}
    return Recipe(**{"name": "two", "task": ("ensemble", options), "backbone": TRUNK,
                     "data": f"npz:{npz}", "test_split": None, "epochs": 1, "batch_size": 8,
                     "learning_rate": 0.01, "optimizer": "adam", "checkpoint_steps": 2,
                     **fields})


def test_a_run_resumes_to_the_bit_and_loads(npz, tmp_path):
    value = recipe(npz, batch_size=24)
    value = value.replace(task=("ensemble", {**value.task[1], "lasso": 0.01}))
    row = train(value, tmp_path / "whole", progress=False)
    Trainer(value, tmp_path / "parts", progress=False, max_steps=2).run()
    rest = Trainer(value, tmp_path / "parts", progress=False)
    rest.run()
    model = load_run(tmp_path / "whole")
    for a, b in zip(model.weights, rest.model.weights, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))
    assert model.task == value.build_task() and [*model.heads] == ["rot", "half"]
    found = evaluate(model, data.open(f"npz:{npz}"), 32, 32)
    assert found["loss"] == pytest.approx(found["rot_loss"] + found["half_loss"] + 0.02 * 2**0.5,
                                          rel=0.01)
    assert {"rot_accuracy", "half_accuracy"} <= {*found} and "rot_units" not in found
    assert 0 <= row["rot_gradient_share"] <= 1 and 1 <= row["rot_units"] <= 2


_SCRIPT = """
import sys
import numpy as np, keras
replicas, npz, out, weights = int(sys.argv[1]), *sys.argv[2:5]
strategy = None
if replicas > 1:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
from test_ensemble import stepped_run
stepped_run(npz, out, weights, strategy)
"""


def stepped_run(npz, out, weights, strategy=None):
    """Two steps from given weights; batch statistics, a replica's own, are frozen."""
    value = recipe(npz, weight_decay=0.1, optimizer="sgd", deterministic=False)
    trainer = Trainer(value, out, strategy=strategy, progress=False, max_steps=2)
    for layer in trainer.model.backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    with np.load(weights) as file:
        for k, v in enumerate(trainer.model.weights):
            v.assign(file[f"arr_{k}"])
    row = trainer.run()
    if strategy is None:
        trainer._synchronise()
    np.savez(f"{out}/end.npz", *[np.array(v) for v in trainer.model.trainable_variables],
             loss=row["loss"], share=row["rot_gradient_share"])


@pytest.mark.slow
def test_two_replicas_on_tensorflow_do_what_one_does_on_jax(npz, tmp_path):
    pytest.importorskip("jax")
    keras.utils.set_random_seed(0)
    model = recipe(npz).build_task().attach(recipe(npz).build_backbone())
    np.savez(tmp_path / "weights.npz", *[np.array(v) for v in model.weights])
    for name, replicas, backend in (("two", 2, "tensorflow"), ("one", 1, "jax")):
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(replicas), npz, tmp_path / name,
             tmp_path / "weights.npz"], cwd=pathlib.Path(__file__).parent, text=True,
            capture_output=True, timeout=400, env={**os.environ, "KERAS_BACKEND": backend})
        assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "one" / "end.npz") as one, np.load(tmp_path / "two/end.npz") as two:
        for key in one.files:
            tolerance = 0.05 if key == "share" else 1e-3  # a replica's gradients are its own
            np.testing.assert_allclose(two[key], one[key], rtol=tolerance, atol=1e-4)


def test_weight_decay_adds_up_to_the_recipes(npz, tmp_path):
    trainer = Trainer(recipe(npz, weight_decay=0.1), tmp_path, progress=False)
    model, trunk = trainer.model, {id(v) for v in trainer.model.backbone.trainable_variables}
    for optimizer, head in zip(model.optimizers, model.heads.values(), strict=True):
        decays = {id(v): optimizer.decay_of(v.value) for v in head.trainable_variables}
        assert {decays[k] for k in decays if k in trunk} == {0.05}
        assert {decays[k] for k in decays if k not in trunk} == {0.1}


def test_a_recipes_options_are_set_by_name(npz):
    value = recipe(npz).replace(**{"task.only": ["rot"], "task.lasso": 0.1, "epochs": 2})
    assert [*value.build_task().tasks] == ["rot"] and value.build_task().lasso == 0.1
    assert value.task[1]["tasks"] == recipe(npz).task[1]["tasks"] and value.epochs == 2
    with pytest.raises(ValueError, match="Received: 'data.only'"):
        recipe(npz).replace(**{"data.only": 1})


def test_harmonised_input_is_grey(rng):
    task = small(only=["rp", "col"], harmonise=True)
    inputs, _ = batch(task, rng)
    patches = np.array(inputs["rp"])
    np.testing.assert_allclose(patches[..., 0], patches[..., 1], atol=1e-4)
    assert task.tasks["rp"].color == "lightness"
    assert tasks.get("ensemble", **task.get_config()) == task
    assert np.ptp(np.array(batch(small(only="rp"), rng)[0]["rp"]), -1).max() > 1


def test_chance_and_what_tasks_prepare():
    task = small(only=["rot", "col"])
    assert task.chance["loss"] == pytest.approx(task.chance["rot_loss"] + task.chance["col_loss"])
    assert task.chance["rot_accuracy"] == 0.25

    task = small(tasks={"ms": MS, "two": MS})
    task.adopt({"ms.share": np.array(0.25)})
    assert [one.share for one in task.tasks.values()] == [0.25, 0.5]


@pytest.mark.parametrize("options, message", [
    ({"tasks": {}}, "tasks is a dict.*Received: {}"),
    ({"tasks": {"R P": RP}}, "small letters.*Received: 'R P'"),
    ({"only": ["rq"]}, "Did you mean 'rp'"), ({"only": []}, r"at least one task. Received: \[\]"),
    ({"updates": "summed"}, "Did you mean 'sum'"), ({"lasso": -1}, "penalty.*Received: -1"),
    ({"tasks": {"a": "noise_targets"}}, "whose layer makes.*Received: noise_targets"),
    ({"tasks": {"a": "deep_cluster"}}, "Received: deep_cluster"),
    ({"tasks": {"a": "jigsow"}}, "Did you mean 'jigsaw'"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_trunks_and_tasks_that_do_not_fit():
    with pytest.raises(ValueError, match="residual trunk, such as resnet. Received: network_in"):
        small(only="rot", lasso=0.1).attach(backbones.get("network_in_network", blocks=2))
    with pytest.raises(ValueError, match="reads the last tap, block1. Received: 'conv1'"):
        attached(small(tasks={"rot": ["rotation", {**ROT[1], "tap": "conv1"}]}, lasso=0.1))
    two = ["damaged_jigsaw", {"tile": 16, "cell": 19, "permutations": 20, "puzzles": 1}]
    with pytest.raises(ValueError, match="one network and one answer. Received: 'd'"):
        attached(small(tasks={"d": two}, image_size=None))


def test_preview(rng):
    task = small(only=["rp", "col"])
    rows = task.preview([rng.integers(0, 256, (30, 28, 3), dtype=np.uint8)],
                        draws(0, 0, np.arange(1), task.num_draws))
    assert [row[0][0] for row in rows] == ["rp: picture", "col: picture"]
