import json
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones, data, tasks
from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.draws import draws
from keras_pretext.tasks.exemplar import TRIES, region_size
from keras_pretext.training import Recipe, Trainer, evaluate, load_run, train
from keras_pretext.training import tables as training_tables
from keras_pretext.training.health import Health


def small(**options):
    return tasks.get("exemplar", **{"num_classes": 12, "patch": 16, **options})


def recipe(npz, options=None, **fields):
    options = {"num_classes": 12, "patch": 16, "visits": 4, **(options or {})}
    return Recipe(name="exemplar", task=("exemplar", options),
                  backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16}),
                  data=f"npz:{npz}", **{"test_split": None, "epochs": 2, "batch_size": 8,
                                        "learning_rate": 0.05, "checkpoint_steps": 4, **fields})


@pytest.fixture
def source(rng):
    """Pictures of 48x64 with details in some places; two are of one colour."""
    images = np.full((14, 48, 64, 3), 120, np.uint8)
    for k in range(12):
        y, x = rng.integers(4, 32), rng.integers(4, 44)
        images[k, y:y + 12, x:x + 16] = rng.integers(0, 256, (12, 16, 3))
    return ArraySource(images)


def wide(rng, count, task, low=1):
    """Regions that lie wholly in the picture."""
    size = task.image_size
    return rng.integers(low, 256, (count, size, size, 3), dtype=np.uint8)


def identity(task, count):
    """Draws that change nothing."""
    out = np.full((count, task.num_draws), 0.5, "float32")
    geometry = out[:, :4 * TRIES].reshape(count, TRIES, 4)
    geometry[..., 2] = 3 / 7  # 0.7 + 0.7 * 3 / 7 = 1
    out[:, 4 * TRIES + 5:4 * TRIES + 7] = np.log2(1 / 0.7)  # 0.7 * 2 ** u = 1
    return out


# -- seeds ----------------------------------------------------------------------------------


def test_seeds_are_one_a_picture_where_there_is_something(source):
    task = small()
    found = task.prepare(source, 0)
    assert sorted(found["picture"].tolist()) == list(range(12))  # never one of one colour
    images = source.arrays()[0]
    for picture, (top, left, side) in zip(found["picture"], found["window"], strict=True):
        assert np.float32(side) in np.float32([16, 20, 25, 31.25])
        assert 0 <= top and top + side <= 48.01 and 0 <= left and left + side <= 64.01
        seen = images[picture, int(top):int(top + side), int(left):int(left + side)]
        assert seen.std() > 10
    again, other = task.prepare(source, 0), task.prepare(source, 1)
    for name in found:
        np.testing.assert_array_equal(found[name], again[name])
    assert (found["window"] != other["window"]).any()
    np.testing.assert_allclose(found["color_axes"] @ found["color_axes"].T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("count, message", [
    (15, r"15 surrogate classes need as many pictures, and there are 14\..*Received: num_classes"),
    (13, r"2 of 14 pictures are of one colour.*num_classes=12 or fewer\. Received: num_classes=13"),
])
def test_more_classes_than_pictures(source, count, message):
    with pytest.raises(ValueError, match=message):
        small(num_classes=count).prepare(source, 0)


def test_draws_that_change_nothing_give_the_seed_patch_exactly(source):
    task = small()
    windows = np.array([[0, 0, 16], [32, 48, 16], [10, 21, 16]], "float32")
    prepared = {"picture": np.arange(3), "window": windows}
    regions, labels = task.examples(source, prepared)
    np.testing.assert_array_equal(labels, np.arange(3))
    patches, _ = task.layer()(tf.constant(regions), identity(task, 3))
    assert patches.dtype == tf.uint8 and patches.shape == (3, 16, 16, 3)
    for k, (top, left, _) in enumerate(windows.astype(int)):
        seed = source.arrays()[0][k, top:top + 16, left:left + 16]
        np.testing.assert_array_equal(patches[k], seed)


def test_regions_are_black_outside_the_picture_only():
    task = small()
    source = ArraySource(np.zeros((1, 48, 64, 3), np.uint8))
    regions, _ = task.examples(source, {"picture": np.array([0]),
                                        "window": np.array([[0, 20, 16]], "float32")})
    edge = (task.image_size - 16) // 2
    expected = np.zeros_like(regions[0])
    expected[edge:] = 1  # the whole width is in the picture
    np.testing.assert_array_equal(regions[0], expected)
    shrunk, _ = task.examples(source, {"picture": np.array([0]),
                                       "window": np.array([[10, 20, 31.25]], "float32")})
    rows = (shrunk[0] > 0).any((1, 2)).sum()
    assert rows == pytest.approx(48 * 16 / 31.25, abs=1)


def test_pictures_of_any_size_and_one_by_one(tmp_path, rng):
    from PIL import Image

    for k in range(6):
        Image.fromarray(rng.integers(0, 256, (30 + k, 40, 3), dtype=np.uint8)).save(
            tmp_path / f"{k}.png")
    task, folder = small(num_classes=6), data.open(f"folder:{tmp_path}")
    regions, _ = task.examples(folder, task.prepare(folder, 0))
    assert regions.shape == (6, task.image_size, task.image_size, 3)
    assert (regions.reshape(6, -1).std(1) > 20).all()


# -- transformations ------------------------------------------------------------------------


@pytest.mark.parametrize("ranges, reach, low, high", [("paper", 0.2, 0.7, 1.4),
                                                      ("code", 0.25, 0.5**0.5, 2**0.5)])
def test_geometry_is_distributed_as_in_the_paper(rng, ranges, reach, low, high):
    """Where a region is wholly in the picture the first proposal is always taken."""
    task = small(ranges=ranges)
    layer, count = task.layer(), 4000
    regions = np.broadcast_to(wide(rng, 1, task), (count, task.image_size, task.image_size, 3))
    row, column, side, degrees = (np.asarray(x) for x in layer.geometry(
        tf.constant(regions), tf.constant(rng.random((count, task.num_draws), dtype="float32"))))
    middle = (task.image_size - 1) / 2
    unit = side if ranges == "code" else 16  # the paper: of the patch; the code: of the window
    for values, start, end in (((row - middle) / unit, -reach, reach),
                               ((column - middle) / unit, -reach, reach),
                               (16 / side, low, high), (degrees, -20, 20)):
        unit = (values - start) / (end - start)
        assert unit.min() > -1e-4 and unit.max() < 1 + 1e-4
        np.testing.assert_allclose(np.quantile(unit, [0.1, 0.25, 0.5, 0.75, 0.9]),
                                   [0.1, 0.25, 0.5, 0.75, 0.9], atol=0.03)
    for a, b in ((row, column), (side, degrees), (row, side)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.06


def test_colours_are_distributed_as_in_the_paper(rng):
    count = 8000
    numbers = tf.constant(rng.random((count, small().num_draws), dtype="float32"))
    for ranges in ("paper", "code"):
        found = small(ranges=ranges).layer().colors(numbers)
        axes = np.log2(found["axes"])
        if ranges == "code":
            # the authors' color_eigenvectors.mat has brightness last, `principal_axes` first
            np.testing.assert_allclose(axes.std(0), [0.5, 1, 1], rtol=0.05)
            assert np.isfinite(axes).all() and abs(axes).max() > 3
        else:
            assert axes.min() >= -1 and axes.max() <= 1
            np.testing.assert_allclose(np.quantile(axes, [0.25, 0.75], axis=0)[:, 0], [-.5, .5],
                                       atol=0.05)
        low, high = (0.5**0.5, 2**0.5) if ranges == "code" else (0.7, 1.4)
        for channel in ("saturation", "value"):
            power, factor, addend = (np.asarray(x) for x in found[channel])
            assert 0.25 <= power.min() < 0.27 and 3.8 < power.max() <= 4
            assert np.median(power) == pytest.approx(1, abs=0.1)
            assert low - 1e-5 <= factor.min() and factor.max() <= high + 1e-5
            assert -0.1 <= addend.min() and addend.max() <= 0.1 and addend.std() > 0.055
        assert abs(np.corrcoef(found["saturation"][0], found["value"][0])[0, 1]) < 0.05
        hue = np.asarray(found["hue"])
        assert -0.1 <= hue.min() < -0.098 and 0.098 < hue.max() < 0.1
    ends = np.zeros((2, small().num_draws), "float32")
    ends[1] = 1 - 2**-24
    for value in tf.nest.flatten(small(ranges="code").layer().colors(tf.constant(ends))):
        assert np.isfinite(value).all()


def test_a_known_rotation_shift_and_scale():
    """A spot right of the middle: 20 degrees counter-clockwise lift it."""
    task = small()
    size = task.image_size
    region = np.full((1, size, size, 3), 30, np.uint8)
    region[:, size // 2 - 1:size // 2 + 1, size // 2 + 2:size // 2 + 4] = 250
    numbers = identity(task, 4)
    geometry = numbers[:, :4 * TRIES].reshape(4, TRIES, 4)
    geometry[1, :, 3] = 1.0  # +20 degrees
    geometry[2, :, 2] = 1.0  # scale 1.4
    geometry[3, :, 1] = 1.0  # the window moves right by 0.2 of 16 pixels
    patches = np.asarray(task.layer()(np.repeat(region, 4, 0), numbers)[0])[..., 0].astype("f8")
    weight = patches - 30
    y, x = np.mgrid[:16, :16] - 7.5
    spots = [((weight[k] * y).sum() / weight[k].sum(), (weight[k] * x).sum() / weight[k].sum())
             for k in range(4)]
    turn = np.radians(20)
    np.testing.assert_allclose(spots, [(0, 3), (-3 * np.sin(turn), 3 * np.cos(turn)), (0, 4.2),
                                       (0, 3 - 3.2)], atol=0.15)


def test_no_window_leaves_the_picture(rng):
    """Outside is (0, 0, 0), inside is all of one bright colour: nothing darker may be seen."""
    task = small()
    size, patch = task.image_size, 16
    edge = (size - patch) // 2
    regions = np.zeros((600, size, size, 3), np.uint8)
    for k in range(600):  # from the bare patch to the whole region
        room = rng.integers(0, edge + 1, 4) if k > 50 else np.zeros(4, int)
        regions[k, edge - room[0]:size - edge + room[1],
                edge - room[2]:size - edge + room[3]] = [200, 150, 100]
    numbers = rng.random((600, task.num_draws), dtype="float32")
    numbers[:, 4 * TRIES:] = identity(task, 1)[:, 4 * TRIES:]
    patches = np.asarray(task.layer()(tf.constant(regions), numbers)[0])
    assert (patches == [200, 150, 100]).all()
    _, _, side, degrees = task.layer().geometry(tf.constant(regions[51:]),
                                                tf.constant(numbers[51:]))
    proposed = 16 / (0.7 + 0.7 * numbers[51:, :4 * TRIES].reshape(-1, TRIES, 4)[..., 2])
    kept = np.isclose(np.asarray(side)[:, None], proposed, rtol=1e-4).any(1)
    assert kept.mean() > 0.7 and np.asarray(degrees).std() > 5


@pytest.mark.parametrize("ranges", ["paper", "code"])
@pytest.mark.parametrize("color", [0, 1, 128, 255])
def test_one_colour_is_never_nan(rng, ranges, color):
    task = small(ranges=ranges)
    size = task.image_size
    region = np.full((64, size, size, 3), color, np.uint8)
    layer = task.layer()
    numbers = rng.random((64, task.num_draws), dtype="float32")
    patches = np.asarray(layer(tf.constant(region), numbers)[0])
    assert (patches == patches[:, :1, :1]).all()  # one colour stays one colour
    for value in layer.geometry(tf.constant(region), tf.constant(numbers)):
        assert np.isfinite(value).all()


def test_the_same_in_a_graph_one_by_one_and_eagerly(rng):
    task = small()
    layer, regions = task.layer(), wide(rng, 6, task)
    numbers = draws(0, 0, np.arange(6), task.num_draws)
    eager, labels = layer(tf.constant(regions), numbers)
    graph, _ = tf.function(lambda *a: layer(*a))(tf.constant(regions), tf.constant(numbers))
    assert abs(np.asarray(eager, int) - np.asarray(graph, int)).max() <= 1
    one, label = layer(tf.constant(regions[4]), tf.constant(numbers[4]))
    assert abs(np.asarray(one, int) - np.asarray(eager[4], int)).max() <= 1
    assert labels.shape == (6,) and label.shape == ()
    assert len({patch.numpy().tobytes() for patch in eager}) == 6


def test_region_sizes():
    """32 * (cos 20 + sin 20) / 0.7 + 2 * 0.2 * 32 = 71.4, and even; the code's shift grows with
    the window: 32 * 2 ** 0.5 * (cos 20 + sin 20 + 2 * 0.25) = 80.6.
    """
    assert region_size(32, "paper") == 72 and region_size(32, "code") == 82
    assert (region_size(17, "paper") - 17) % 2 == 0


# -- labels and epochs ----------------------------------------------------------------------


def test_the_pipeline_gives_every_seed_its_number_and_visits_it_again(source):
    task = small(visits=3)
    task.adopt(task.prepare(source, 0))
    regions, labels = task.examples(source, task.prepare(source, 0))
    seeds = ArraySource(regions, labels)
    layer = task.layer()
    seen, patches = [], []
    for images, classes in pipelines.pipeline(seeds, layer, 6, 0, steps=6):
        seen += classes.numpy().tolist()
        patches += [image.numpy().tobytes() for image in images]
    np.testing.assert_array_equal(np.bincount(seen), np.full(12, 3))  # an epoch: thrice each
    assert len(set(patches)) == 36  # and every time another transformation
    resumed = next(iter(pipelines.pipeline(seeds, layer, 6, 0, start_step=4)))
    np.testing.assert_array_equal(resumed[1], seen[24:30])


def test_it_may_begin_with_some_classes(source):
    task = small(visits=2, start=(4, 2))
    regions, labels = task.examples(source, task.prepare(source, 0))
    seeds = ArraySource(regions, labels)
    classes = [c.numpy() for _, c in pipelines.pipeline(seeds, task.layer(), 8, 0, steps=9)]
    assert set(np.concatenate(classes[:6])) == {0, 1, 2, 3}  # 24 examples an epoch, two epochs
    assert set(np.concatenate(classes[6:])) == set(range(12))
    tested = [c.numpy() for _, c in pipelines.pipeline(seeds, task.layer(False), 5, 0,
                                                       shuffle=False)]
    np.testing.assert_array_equal(np.concatenate(tested), np.arange(12))
    batches = pipelines.array_batches(regions, task.layer(), 8, 0)  # other backends: the same
    for expected, (index, _, _) in zip(classes, batches, strict=False):
        np.testing.assert_array_equal(index, expected)


def test_the_health_line_knows_how_many_classes_are_shown():
    """The loss jumps where classes are added: that is no collapse."""
    task = small(num_classes=1000, start=(100, 2))
    health = Health(task.chance)
    trainer = SimpleNamespace(steps_per_epoch=50, recipe=SimpleNamespace(batch_size=64),
                              health=health)
    health.diagnose = lambda: task.diagnose(trainer)
    lines = []
    for trainer.step, loss in ((100, math.log(100) / 2), (101, math.log(1000)), (413, 0.69)):
        health.means = {"loss": loss}
        health.best = 0.5
        lines.append(health.line())
    assert lines == ["100 of 1000 classes: loss 50% of their chance",
                     "all 1000 classes now: loss 100% of chance", "all 1000 classes now: loss 10% "
                     "of chance"]
    trainer.step = 100 + 20000 // 64 + 2
    assert health.line() == "learning: loss 10% of chance"
    assert small().diagnose(trainer) is None


def test_tests_use_other_draws_of_the_same_seeds(rng):
    task = small()
    regions, numbers = wide(rng, 4, task), rng.random((4, task.num_draws), dtype="float32")
    trained = np.asarray(task.layer()(regions, numbers)[0], int)
    tested = np.asarray(task.layer(augment=False)(regions, numbers)[0], int)
    assert (abs(trained - tested).mean((1, 2, 3)) > 5).all()
    np.testing.assert_array_equal(tested, task.layer()(regions, (numbers + 0.5) % 1)[0])


# -- training -------------------------------------------------------------------------------


def test_stopping_anywhere_and_resuming_gives_the_same_to_the_bit(npz, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(recipe(npz), whole, progress=False)
    train(recipe(npz), parts, progress=False, max_steps=3)
    seeds = dict(np.load(parts / "prepared.npz"))
    task = type(tasks.get("exemplar"))
    monkeypatch.setattr(task, "prepare", lambda *a: pytest.fail("seeds were drawn again"))
    for steps in (4, None):
        train(recipe(npz), parts, progress=False, max_steps=steps)
    for a, b in zip(load_run(whole).weights, load_run(parts).weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    shipped = dict(np.load(parts / "final" / "tables.npz"))
    for name in shipped:
        np.testing.assert_array_equal(shipped[name], seeds[name])
    manifest = json.loads((parts / "manifest.json").read_text())
    assert manifest["prepared"] == training_tables.fingerprint(shipped)
    assert manifest["data"]["num_examples"] == 96  # of the pictures, not of the seeds
    assert load_run(parts).task.color == [shipped["color_mean"].tolist(),
                                          shipped["color_axes"].tolist()]


def test_seeds_of_other_data_are_refused(npz, tmp_path):
    train(recipe(npz), tmp_path / "run", progress=False, max_steps=1)
    with np.load(npz) as file:
        np.savez(npz, images=255 - file["images"])
    with pytest.raises(ValueError, match="prepared is of other data.*Received"):
        Trainer(recipe(npz), tmp_path / "run", progress=False)


def accuracy_on_other_draws(source, labels_of):
    """Of a small network that was trained on 80 visits of each seed."""
    keras.utils.set_random_seed(0)
    task = small()
    prepared = task.prepare(source, 0)
    task.adopt(prepared)
    regions, labels = task.examples(source, prepared)
    many = np.repeat(np.arange(12), 80)
    numbers = draws(0, 0, np.arange(960), task.num_draws)
    patches, _ = task.layer()(tf.constant(regions[many]), numbers)
    tests, _ = task.layer(augment=False)(tf.constant(regions[many[::6]]), numbers[::6])
    model = task.attach(backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=16,
                                      dropout=0.0))
    model.compile(optimizer=keras.optimizers.Adam(1e-3), **task.objective())
    model.fit(patches, labels_of(labels[many]), epochs=8, batch_size=24, verbose=0)
    return model.evaluate(tests, labels[many[::6]], verbose=0, return_dict=True)["accuracy"]


def test_it_learns_to_tell_seeds_apart(source):
    assert accuracy_on_other_draws(source, lambda labels: labels) > 0.35  # chance is 0.08


def test_labels_that_are_not_the_seeds_teach_nothing(source, rng):
    assert accuracy_on_other_draws(source, rng.permutation) < 0.25


def test_a_run_is_tested_on_its_seeds(npz, tmp_path):
    value = recipe(npz, test_split="train", epochs=1, checkpoint_steps=100)
    row = train(value, tmp_path, progress=False)
    test_source = Trainer(value, tmp_path, progress=False).test_source
    found = evaluate(load_run(tmp_path), test_source, 5)
    assert found["images"] == 12 and found["loss"] == pytest.approx(row["test_loss"], rel=1e-3)


def test_attached_model(tmp_path, rng):
    task = small(weight_decay=0.004)
    backbone = backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=16)
    model = task.attach(backbone)
    images = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    logits = model(images)
    assert logits.shape == (5, 12) and logits.dtype == tf.float32
    kernel = np.asarray(model.get_layer("logits").kernel)
    assert kernel.std() == pytest.approx(0.005, rel=0.1)
    assert float(model.losses[0]) == pytest.approx(4 * 0.002 * (kernel**2).sum(), rel=1e-3)
    same = small().attach(backbone)
    loss = same.compute_loss(x=images, y=np.arange(5), y_pred=tf.zeros((5, 12)))
    assert float(loss) == pytest.approx(task.chance["loss"])
    task.adopt(task.prepare(ArraySource(rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)), 0))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(images), logits)
    assert again.task == task and again.task.color == task.color
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("options, message", [
    ({"num_classes": 1}, "at least 2.*Received: num_classes=1"),
    ({"patch": 7}, "patch at least 8.*Received"), ({"visits": 0}, "visits.*Received.*visits=0"),
    ({"ranges": "papers"}, "'paper'.*Received: 'papers'"),
    ({"start": (13, 1)}, r"1 to 12 classes. Received: \(13, 1\)"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview(source):
    task = small()
    images = source.arrays()[0]
    row, = task.preview(images[:1], np.full((1, task.num_draws), 0.5))
    titles = [title for title, _ in row]
    assert titles[:3] == ["picture", "seed patch", "transformed 1"] and len(row) == 8
    assert row[0][1].shape == (48, 48, 3) and all(p.dtype == np.uint8 for _, p in row)
    assert len({p.tobytes() for _, p in row[1:]}) == 7
    with pytest.raises(ValueError, match="one colour.*Received"):
        task.preview(images[13:], np.full((1, task.num_draws), 0.5))


_JAX = """
import sys
import numpy as np
npz, out = sys.argv[1:]
from keras_pretext.training import Recipe, train
recipe = Recipe(name="exemplar", task=("exemplar", {"num_classes": 12, "patch": 16, "visits": 2,
                                                    "start": [4, 1]}),
                backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16}),
                data="npz:" + npz, epochs=2, batch_size=8, test_split="train", learning_rate=0.05)
train(recipe, out, progress=False, max_steps=2)
row = train(recipe, out, progress=False)
assert row["step"] == 6 and np.isfinite(row["test_loss"])
"""


@pytest.mark.slow
def test_on_jax(npz, tmp_path):
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, "-c", _JAX, npz, tmp_path / "run"], text=True,
                          timeout=900, env={**os.environ, "KERAS_BACKEND": "jax"},
                          capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
