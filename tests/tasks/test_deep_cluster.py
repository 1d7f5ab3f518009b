import json
import os
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from keras_pretext import backbones, data, tasks
from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.draws import order
from keras_pretext.tasks import clustering
from keras_pretext.tasks.deep_cluster import DeepCluster
from keras_pretext.training import Recipe, Trainer, evaluate, load_run, train
from keras_pretext.training.tensorboard import TensorBoard

OPTIONS = {"clusters": 6, "pca": 8, "kmeans": "keras", "image_size": 16}


def small(**options):
    return tasks.get("deep_cluster", **{**OPTIONS, **options})


def recipe(npz, task=(), **fields):
    return Recipe(name="deep_cluster", task=("deep_cluster", {**OPTIONS, **dict(task)}),
                  backbone=("network_in_network", {"blocks": 2, "sobel": True}),
                  data=f"npz:{npz}", **{
                      "test_split": None, "epochs": 3, "batch_size": 16, "learning_rate": 0.05,
                      "checkpoint_steps": 4, **fields})


@pytest.fixture
def kinds(tmp_path, rng):
    """An .npz of 96 pictures of three kinds, in no order, and their kinds as labels."""
    truth = rng.permutation(np.repeat(np.arange(3), 32))
    lines = np.where(np.arange(16) // 2 % 2, 220, 30)
    kinds = [np.tile(lines, (16, 1)), np.tile(lines[:, None], (1, 16)), np.full((16, 16), 120)]
    images = np.stack(kinds)[truth][..., None] + rng.integers(-4, 5, (96, 16, 16, 3))
    path = tmp_path / "kinds.npz"
    np.savez(path, images=images.astype("uint8"), labels=truth)
    return path


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_clusters_are_of_centred_pictures_in_evaluation_mode_each_at_its_place(rng, tmp_path):
    """A wide picture's edge is not seen, nothing is mirrored, running statistics are used."""
    images = rng.integers(0, 256, (40, 20, 30, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    trainer = Trainer(recipe(tmp_path / "a.npz"), tmp_path / "run", progress=False)
    weights = [np.asarray(v) for v in trainer.model.variables]
    descriptor = trainer.task.descriptor(trainer.model.backbone)
    found = trainer.features(descriptor, tmp_path / "run" / "features.npy")
    assert isinstance(found, np.memmap) and found.dtype == np.float16
    framed = np.asarray(trainer.task.framing.evaluation()(images, np.zeros((40, 0), "f4")))
    expected = np.asarray(descriptor(framed, training=False))
    assert found.shape == expected.shape == (40, 192)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)
    for before, variable in zip(weights, trainer.model.variables, strict=True):
        np.testing.assert_array_equal(before, np.asarray(variable))
    assert abs(expected - np.asarray(descriptor(framed, training=True))).max() > 0.01


def test_features_that_are_not_finite_are_named(npz, tmp_path):
    trainer = Trainer(recipe(npz), tmp_path / "run", progress=False)
    inputs = keras.Input((16, 16, 3))
    broken = keras.Model(inputs, keras.ops.log(keras.ops.mean(inputs, (1, 2)) - 1e6))
    with pytest.raises(ValueError, match="not finite.*lower learning rate"):
        trainer.features(broken, tmp_path / "features.npy")


def test_fully_connected_taps_are_clustered_before_their_relu(rng):
    trunk = backbones.get("alexnet", flavour="deepcluster", fc_units=(16, 8), image_size=64,
                          sobel=True)
    images = rng.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    before = np.asarray(small(image_size=64).descriptor(trunk)(images, training=False))
    after = np.asarray(trunk.extractor("fc7")(images, training=False))[:, 0, 0]
    assert before.shape == (6, 8) and before.min() < 0
    np.testing.assert_allclose(np.maximum(before, 0), after, atol=1e-5)
    maps = np.asarray(small(image_size=64, tap="conv5").descriptor(trunk)(images, training=False))
    assert maps.min() >= 0 and maps.shape == (6, 256)


def test_pictures_and_clusters_stay_together(rng, tmp_path):
    """The epoch's choice replaces pictures and indices alike, from memory, files and arrays."""
    from PIL import Image

    images = np.repeat(np.arange(20, dtype=np.uint8) * 10, 16 * 16 * 3).reshape(20, 16, 16, 3)
    np.savez(tmp_path / "a.npz", images=images)
    for k in range(20):
        Image.fromarray(images[k]).save(tmp_path / f"{k:02}.png")
    layer = small().layer(augment=False)
    layer.chosen = clustering.uniform_sample(np.repeat([0, 1, 5], [15, 4, 1]), rng)
    places = order(20, 3, 0)
    arrays = data.open(f"npz:{tmp_path / 'a.npz'}")
    streams = [pipelines.pipeline(source, layer, 10, 3, steps=2)
               for source in (arrays, data.open(f"folder:{tmp_path}"))]
    streams.append((x, k) for k, x, _ in pipelines.array_batches(images, layer, 10, 3))
    for stream in streams:
        for step, (pictures, index) in zip(range(2), stream, strict=False):
            expected = layer.chosen[places[10 * step:10 * step + 10]]
            np.testing.assert_array_equal(index, expected)
            np.testing.assert_array_equal(np.asarray(pictures)[:, 8, 8, 0], 10 * expected)


class Watched(Trainer):
    """Keeps what each step was given."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, progress=False, **options)
        choose, self.seen = self.task.before_step, []

        def watch(trainer, index, outputs):
            labels = choose(trainer, index, outputs)
            self.seen.append((self.step, index, labels, np.asarray(self.layer.chosen)))
            return labels

        self.task.before_step = watch


def test_a_run(kinds, tmp_path):
    """Clusters, their sampling, figures and files; stopped anywhere it ends the same to the bit."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer = Watched(recipe(kinds), whole, callbacks=[
        TensorBoard(tmp_path / "logs", puzzles=1, embeddings=8, data_seconds=0)])
    trainer.run()
    files = [np.load(whole / "clusters" / f"epoch-{epoch:04}.npy") for epoch in range(3)]
    assert sorted(p.name for p in (whole / "clusters").iterdir()) == [
        f"epoch-{epoch:04}.npy" for epoch in range(3)]  # and no features
    for step, index, labels, chosen in trainer.seen:
        assignment = files[step // 6]
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, assignment[index])
        np.testing.assert_array_equal(index, chosen[order(96, 0, step // 6)[
            step % 6 * 16:step % 6 * 16 + 16]])
        shown = np.bincount(assignment[chosen], minlength=6)
        full = np.bincount(assignment, minlength=6) > 0
        assert shown[full].min() >= 96 // full.sum() - 5 and shown[~full].sum() == 0
    assert len(trainer.seen) == 18
    truth = np.load(kinds)["labels"]
    pure = [np.bincount(truth[files[-1] == k]).max() for k in np.unique(files[-1])]
    assert sum(pure) > 90  # of 96: the clusters are of the pictures' kinds

    for steps in (1, 4, 3, 4, 5, None):  # at an epoch's start, in its middle, at its end
        last = train(recipe(kinds), parts, progress=False, max_steps=steps)
    for a, b in zip(load_run(whole).weights, load_run(parts).weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    ends = [np.load(out / "final" / "tables.npz") for out in (whole, parts)]
    for name in ("assignment", "clustered", "nmi"):
        np.testing.assert_array_equal(ends[0][name], ends[1][name])
    np.testing.assert_array_equal(ends[0]["assignment"], files[-1])
    assert ends[0]["clustered"] == 2
    for epoch in range(3):
        np.testing.assert_array_equal(
            files[epoch], np.load(parts / "clusters" / f"epoch-{epoch:04}.npy"))

    kept = {row["step"]: row for row in rows(whole) if "loss" in row}
    assert "nmi" not in kept[6] and kept[12]["nmi"] == pytest.approx(
        clustering.normalized_mutual_information(files[1], files[0]))
    counts = np.bincount(files[2], minlength=6)
    assert kept[18]["clusters_empty"] == (counts == 0).sum() == last["clusters_empty"]
    assert kept[18]["cluster_largest"] == pytest.approx(counts.max() / 96)
    assert kept[18]["accuracy"] > 1.5 * trainer.task.chance["accuracy"]
    event = next((tmp_path / "logs").glob("events*")).read_bytes()
    for tag in (b"train/nmi", b"train/clusters_empty", b"train/cluster_largest"):
        assert tag in event


def test_every_epoch_has_a_fresh_classifier_that_learns_without_momentum(kinds, tmp_path):
    trainer = Trainer(recipe(kinds), tmp_path, progress=False, max_steps=7)
    kernels, start = [], trainer.task.on_epoch_start

    def watch(trainer, epoch):
        head = trainer.model.get_layer("cluster_logits")
        before = np.asarray(head.kernel)
        start(trainer, epoch)
        kernels.append((before, np.asarray(head.kernel)))
        assert not np.asarray(head.bias).any() and np.isinf(trainer.health.best)

    trainer.task.on_epoch_start = watch
    trainer.run()
    (built, first), (trained, second) = kernels
    for fresh in (first, second):
        assert fresh.std() == pytest.approx(0.01, rel=0.1) and abs(fresh.mean()) < 1e-3
    assert (first != second).all() and (first != built).all() and (second != trained).all()
    optimizer, heads = trainer.model.optimizer, 0
    for variable, slot in zip(trainer.model.trainable_variables, optimizer.momentums, strict=True):
        head = variable.path.startswith("cluster_logits")
        heads += head
        assert np.asarray(slot).any() == (not head)
    assert heads == 2


def test_adam_forgets_what_it_knew_of_the_former_classifier(kinds, tmp_path):
    trainer = Trainer(recipe(kinds, optimizer="adam", learning_rate=1e-3), tmp_path,
                      progress=False, max_steps=1)
    trainer.run()

    def known():
        return {("cluster_logits" in v.path): np.asarray(v).any()
                for v in trainer.model.optimizer.variables if "moment" in v.path
                or "velocity" in v.path}

    assert known() == {True: True, False: True}
    trainer.task.renew(trainer.model, np.random.default_rng(0))
    assert known() == {True: False, False: True}


def test_no_more_clusters_than_pictures(npz, tmp_path):
    with pytest.raises(ValueError, match="at most as many clusters as pictures, 96.*clusters=97"):
        Trainer(recipe(npz, {"clusters": 97}), tmp_path, progress=False)


def test_equal_pictures_end_the_run_with_one_error_and_nothing_is_left(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.full((40, 16, 16, 3), 90, np.uint8))
    with pytest.raises(ValueError, match="same for every picture"):
        train(recipe(tmp_path / "a.npz"), tmp_path / "run", progress=False)
    assert not [*(tmp_path / "run" / "clusters").iterdir()]


def test_one_giant_cluster_is_named_and_shown_no_more_than_others(tmp_path, rng):
    images = rng.integers(0, 256, (96, 16, 16, 3), dtype=np.uint8)
    images[:80] = images[0]
    np.savez(tmp_path / "a.npz", images=images)
    trainer = Watched(recipe(tmp_path / "a.npz"), tmp_path / "run", max_steps=3)
    row = trainer.run()
    assert row["health"].startswith("one giant cluster holds 83% of the pictures")
    assert np.isfinite(row["loss"]) and row["cluster_largest"] == pytest.approx(80 / 96, abs=0.02)
    shown = np.bincount(trainer.tables["assignment"][trainer.layer.chosen])
    assert shown.max() <= 96 // np.count_nonzero(shown) + 1


def test_the_health_line_names_clusters_that_empty_and_is_silent_otherwise():
    task = small(clusters=20)

    def said(assignment, clustered=3):
        return task.diagnose(types.SimpleNamespace(tables={
            "assignment": np.asarray(assignment), "clustered": clustered, "nmi": 0.5}))

    assert said(np.arange(100) % 20) is None and said(np.arange(100) % 16) is None
    assert said(np.arange(100) % 14).startswith(
        "clusters are emptying: 6 of 20 hold no picture")
    assert said(np.zeros(100, int)).startswith("one giant cluster holds 100% of the pictures")
    assert said(np.maximum(np.arange(100) - 60, 0) % 20).startswith("one giant cluster holds 62%")
    assert said(np.zeros(100, int), clustered=-1) is None  # nothing is clustered yet


def test_held_out_pictures_are_refused(npz, tmp_path):
    with pytest.raises(ValueError, match="test_split=None.*Received: test_split='train'"):
        train(recipe(npz, test_split="train"), tmp_path, progress=False)
    model = small().attach(backbones.get("network_in_network", blocks=2))
    with pytest.raises(ValueError, match="belong to no cluster"):
        evaluate(model, data.open(f"npz:{npz}"))


@pytest.mark.parametrize("options, message", [
    ({"clusters": 1}, "clusters is at least 2.*clusters=1"),
    ({"pca": 0}, "pca at least 1.*pca=0"),
    ({"kmeans": "fais"}, "kmeans.*faiss"),
    ({"framing": {"kind": "pad_crop", "size": 24}}, "the image_size, 16. Received: 24")])
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small(pca=5, flip=False, kmeans=None)
    model = task.attach(backbones.get("network_in_network", blocks=2, sobel=True))
    images = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)
    assert again(images).shape == (3, 6) and again(images).dtype == "float32"
    assert again.task == task and task == DeepCluster.from_config(task.get_config())
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_the_layer_crops_and_mirrors(rng):
    task = small()
    image, draws = rng.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8), np.full((1, 3), 0.5, "f4")
    found, label = task.layer()(image, draws)
    np.testing.assert_array_equal(found, image)
    assert label.shape == (1,) and label.dtype == "int32"
    draws[:, -1] = 0.2
    np.testing.assert_array_equal(task.layer()(image, draws)[0], image[:, :, ::-1])
    np.testing.assert_array_equal(task.layer(augment=False)(image, draws)[0], image)


def test_preview(rng):
    task = small()
    row, = task.preview([rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)],
                        np.full((1, task.num_draws), 0.5))
    assert [title for title, _ in row] == ["clustered", "trained on", "its edges, left - right",
                                           "its edges, top - bottom"]
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
if kind == "jax":  # compile once for all runs
    import jax
    jax.config.update("jax_compilation_cache_dir", out + "/cache")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
recipe = Recipe(name="deep_cluster", task=("deep_cluster", {"clusters": 6, "image_size": 16}),
                backbone=("network_in_network", {"blocks": 2, "sobel": True}), data="npz:" + npz,
                test_split=None, epochs=2, batch_size=16, learning_rate=0.05, checkpoint_steps=4)

def run(folder, steps=None):
    trainer = Trainer(recipe, out + folder, strategy=strategy, progress=False, max_steps=steps)
    row = trainer.run()
    assert np.isfinite(row["loss"]) and "clusters_empty" in row
    return trainer

run("/parts", 4)
parts = run("/parts")
assert parts.tables["clustered"] == 1
head = parts.model.get_layer("cluster_logits")
assert 0.009 < np.asarray(head.kernel).std()
slots = {v.path.split("/")[0]: np.asarray(m).any() for v, m in zip(
    parts.model.trainable_variables, parts.model.optimizer.momentums)}
assert not slots.pop("cluster_logits") and all(slots.values())
if kind == "jax":
    whole = run("/whole")
    assert (whole.tables["assignment"] == parts.tables["assignment"]).all()
    for a, b in zip(whole.model.weights, parts.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind, backend", [("two", "tensorflow"), ("jax", "jax")])
def test_two_replicas_and_jax(kinds, tmp_path, kind, backend):
    pytest.importorskip(backend)
    script = tmp_path / "script.py"
    script.write_text(_ELSEWHERE)
    done = subprocess.run([sys.executable, script, kind, kinds, tmp_path], text=True, timeout=900,
                          env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
