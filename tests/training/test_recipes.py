"""Every recipe is a value that says the paper's number, ours, the cost and the command."""

import multiprocessing
import pathlib
import runpy

import numpy as np
import pytest
from mined import written

from keras_pretext import backbones, tasks
from keras_pretext.training import Recipe, Trainer, load_recipe
from keras_pretext.training.schedules import OneCycle, build

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_files(path):
    recipe = load_recipe(path)
    text = runpy.run_path(str(path))["__doc__"]
    for word in ("Paper:", "Ours:", "Cost:", f"Command: keras-pretext pretrain "
                                             f"{path.relative_to(ROOT)}"):
        assert word in text
    task = recipe.build_task()
    assert task.name in tasks.list() and recipe.backbone[0] in backbones.list()
    assert Recipe.from_dict(recipe.to_dict()).fingerprint() == recipe.fingerprint()
    build(recipe.schedule, recipe.learning_rate, 100, recipe.epochs)


@pytest.fixture(scope="module")
def elsewhere():
    """Processes that end after a few tasks: TensorFlow keeps some memory of every network."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=8) as pool:
        yield pool


def train_a_step(path, folder):
    """On small noise pictures, two at a time; the task and the network are the recipe's own.

    (Exemplars: as many classes as there are pictures; half as many clusters. ResNet-101: 50.)
    """
    images = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
    np.savez(folder / "pictures.npz", images=images, labels=np.arange(8),
             mask=images[..., 0] // 128)
    recipe = load_recipe(path, data=f"npz:{folder / 'pictures.npz'}", test_split=None, epochs=1,
                         batch_size=2, precision="float32", deterministic=False, initial=None)
    task, options = recipe.task
    if task == "exemplar":
        recipe = recipe.replace(task=(task, {**options, "num_classes": 8, "start": None}))
    if task == "deep_cluster":
        recipe = recipe.replace(task=(task, {**options, "clusters": 4}))
    if task == "transitive":
        patches = images[:, :, :48]
        written(folder / "mined", patches, range(8), [(0, 1), (2, 3), (4, 5), (6, 7)],
                ["transitive"] * 4, range(4))
        recipe = recipe.replace(data=f"pairs:{folder / 'mined'}")
    if recipe.backbone[1].get("depth") == 101:
        recipe = recipe.replace(**{"backbone.depth": 50})
    return Trainer(recipe, folder / "run", progress=False, max_steps=1).run()


@pytest.mark.parametrize("path", [  # the smoke recipes have each task once
    path if path.parent.name == "smoke" else pytest.param(path, marks=pytest.mark.slow)
    for path in RECIPES], ids=lambda p: p.stem)
def test_a_recipe_trains_a_step(path, tmp_path, elsewhere):
    row = elsewhere.apply(train_a_step, (path, tmp_path))
    assert row["step"] == 1 and np.isfinite(row["loss"])


def test_the_papers_learning_rates():
    rate = build({"kind": "steps", "epochs": [30, 60, 80], "factor": 0.2}, 0.1, 10, 100)
    for epoch, expected in ((0, 0.1), (29.9, 0.1), (30, 0.02), (60, 0.004), (80, 0.0008)):
        assert float(rate(round(epoch * 10))) == pytest.approx(expected)


def test_one_cycle_rises_to_the_peak_and_ends_near_zero():
    rate = OneCycle(0.2, 1000, 0.1)
    values = [float(rate(k)) for k in range(1000)]
    assert max(values) == pytest.approx(0.2, rel=0.02) and 90 <= values.index(max(values)) <= 101
    assert values[0] < 0.01 and values[-1] < 1e-5


def test_an_option_of_an_option_has_another_value():
    recipe = load_recipe(ROOT / "recipes" / "supervised_alexnet_tiny_imagenet_cpu.py")
    other = recipe.replace(**{"task.framing.size": 32, "task.image_size": 32,
                              "task.framing.scale": [0.5, 1.0], "backbone.image_size": 32})
    assert other.task[1] == {**recipe.task[1], "image_size": 32, "framing": {
        "kind": "random_resized_crop", "size": 32, "scale": [0.5, 1.0]}}
    assert other.backbone[1]["image_size"] == 32
    assert recipe.task[1]["framing"]["size"] == 64  # as it was
    with pytest.raises(ValueError, match="image_size is 64. Received: task.image_size.x"):
        recipe.replace(**{"task.image_size.x": 32})


@pytest.mark.parametrize("fields, message", [
    ({"epochs": "two"}, "epochs is a number. Received: 'two'"),
    ({"epochs": True}, "epochs is a number. Received: True"),
    ({"batch_size": 8.0}, "batch_size is a whole number. Received: 8.0"),
    ({"learning_rate": "fast"}, "learning_rate is a number. Received: 'fast'"),
    ({"learning_rate": -1}, "learning_rate is at least 0. Received: -1"),
    ({"schedule": "one_cycle"}, "schedule is a dict.*Received: 'one_cycle'"),
    ({"seed": -1}, "seed is at least 0. Received: -1"),
    ({"momentum": 5}, r"momentum is in \[0, 1\). Received: 5"),
    ({"test_images": -3}, "test_images is positive. Received: -3"),
    ({"deterministic": "maybe"}, "deterministic is true or false. Received: 'maybe'"),
    ({"task": ["rotation", 3]}, "task is .name, config.*Received"),
    ({"epochs": float("nan")}, "epochs is positive. Received: nan"),
])
def test_a_field_of_another_kind_is_told_by_its_name(fields, message):
    recipe = load_recipe(ROOT / "recipes" / "rotnet_nin_cifar10.py")
    with pytest.raises(ValueError, match=message):
        recipe.replace(**fields)


@pytest.mark.parametrize("schedule, message", [
    ({"kind": "constant", "warmup": 0.1}, "unknown option of the schedule 'constant'"),
    ({"kind": "one_cycle", "warm_up": 0.1}, "unknown option.*Did you mean 'warmup'"),
    ({"kind": "one_cycle", "warmup": 2}, "0 to less than 1. Received"),
    ({"kind": "steps"}, "has `epochs`, ascending"),
    ({"kind": "steps", "epochs": [6, 3], "factor": 0.1}, "has `epochs`, ascending"),
    ({"kind": "steps", "epochs": [3, 6]}, "has a `factor`, or `factors`"),
    ({"kind": "steps", "epochs": [3, 6], "factors": [0.1]}, "for each of its epochs"),
    ({"kind": "steps", "epochs": [3, 6], "factors": 0.1}, "for each of its epochs"),
    ({"kind": "steps", "epochs": ["3", 6], "factor": 0.1}, "has `epochs`, ascending"),
    ({"kind": "steps", "epochs": [3, 6], "factor": "x"}, "has a `factor`"),
])
def test_a_schedule_that_is_none_is_told(schedule, message):
    with pytest.raises(ValueError, match=message):
        build(schedule, 0.1, 100, 10)
