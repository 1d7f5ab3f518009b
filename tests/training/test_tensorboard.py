import io
import json
import os
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
from PIL import Image

from keras_pretext import backbones, tasks
from keras_pretext.data.arrays import ArraySource
from keras_pretext.training import Recipe, Trainer, load_run, tensorboard
from keras_pretext.training.tensorboard import TensorBoard
from keras_pretext.visualize.filters import first_layer_filters

RATE = "speed/whole (images per second)"


def recipe(npz):
    return Recipe(name="small", task="rotation", backbone=("network_in_network", {"blocks": 2}),
                  data=f"npz:{npz}", test_split="train", epochs=2, batch_size=16,
                  learning_rate=0.02, checkpoint_steps=4, test_images=32)


def run(npz, out, logs=None, **options):
    callbacks = [TensorBoard(logs, embeddings=10, data_seconds=0.05)] if logs else []
    return Trainer(recipe(npz), out, callbacks=callbacks, progress=False, **options).run()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run in two sittings, the second from a checkpoint: its folder and its event files."""
    folder = tmp_path_factory.mktemp("tensorboard")
    ramp = np.linspace(0, 200, 32)[None, :, None, None]
    images = ramp + np.random.default_rng(0).integers(0, 56, (96, 32, 32, 3))
    npz = folder / "pictures.npz"
    np.savez(npz, images=images.astype("uint8"), labels=np.arange(96) % 4)
    run(npz, folder / "run", folder / "logs", max_steps=7)
    run(npz, folder / "run", folder / "logs")
    return npz, folder


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), {"images": 0, "scalars": 0, "tensors": 0}).Reload()


@pytest.fixture(scope="module")
def events(finished):
    return read(finished[1] / "logs")


def test_scalars_are_the_logged_rows_each_step_once(finished, events):
    rows = [json.loads(line) for line in
            (finished[1] / "run" / "metrics.jsonl").read_text().splitlines()]
    for key, tag in (("loss", "train/loss"), ("learning_rate", "train/learning_rate"),
                     ("images_per_second", RATE), ("test_accuracy", "test/accuracy")):
        expected = [(r["step"], r[key]) for r in rows if key in r]
        found = [(e.step, e.value) for e in events.Scalars(tag)]
        assert [s for s, _ in found] == [s for s, _ in expected]
        np.testing.assert_allclose([v for _, v in found], [v for _, v in expected], rtol=1e-5)
    assert [e.step for e in events.Scalars("speed/data alone (images per second)")] == [1, 8]
    assert events.Scalars("speed/data alone (images per second)")[0].value > 0
    assert events.Scalars("speed/model alone (images per second)")
    health = events.Tensors("health")
    assert [e.step for e in health] == [6, 12]
    assert health[-1].tensor_proto.string_val[0].decode() in rows[-2]["health"]


def test_what_came_after_the_checkpoint_is_not_shown_twice(tmp_path):
    def sitting(start, steps):  # ends as a killed run does: nothing is closed
        callback = TensorBoard(tmp_path, data_seconds=0)
        trainer = types.SimpleNamespace(step=start, total_steps=9)
        callback.on_start(trainer)
        for step in range(start + 1, start + 1 + steps):
            callback.on_log(trainer, {"step": step, "loss": 100 * start + step})
        return callback

    kept = [sitting(0, 4), sitting(0, 6), sitting(3, 2)]  # the first had no checkpoint yet
    found = [(e.step, e.value) for e in read(tmp_path).Scalars("train/loss")]
    assert found == [(1, 1), (2, 2), (3, 3), (4, 304), (5, 305)]
    for callback in kept:
        callback.on_end(None)


def test_pictures_of_puzzles_and_filters(events):
    assert [e.step for e in events.Images("puzzles")] == [6, 12]
    sheet = Image.open(io.BytesIO(events.Images("puzzles")[-1].encoded_image_string))
    assert sheet.size == (8 + 4 * 168, 8 + 4 * 188)
    filters = Image.open(io.BytesIO(events.Images("first-layer filters")[-1].encoded_image_string))
    assert filters.size == (4 * (14 * 6 + 1), 4 * (14 * 6 + 1))  # 192 filters of 5x5


def titles(task, monkeypatch, **options):
    """The titles and marks of one picture's puzzle, of a network that gives 0 all the time."""
    task = tasks.get(task, **options)
    model = task.attach(backbones.get("network_in_network", blocks=2))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    images = np.random.default_rng(0).integers(0, 256, (1, 80, 80, 3), dtype="uint8")
    source = ArraySource(images, np.array([1]), class_names=("cat", "dog", "cow"))
    drawn = {}
    monkeypatch.setattr(tensorboard, "puzzle_sheet", lambda rows, side, marks=None: drawn.update(
        titles=[title for title, _ in rows[0]], marks=marks and marks[0]))
    tensorboard._sheet(types.SimpleNamespace(task=task, model=model), source, 4)
    return drawn["titles"], drawn["marks"]


def test_answers_stand_beside_the_pictures_of_tasks_that_classify(monkeypatch):
    found, marks = titles("rotation", monkeypatch)
    assert found[1] == "90\N{DEGREE SIGN} (label 1), said 0" and marks == [True] + 3 * [False]
    assert titles("classification", monkeypatch, num_classes=3) == (
        ["input: dog, said cat"], [False])


def test_answers_that_are_more_than_the_pictures_are_counted(monkeypatch):
    found, marks = titles("relative_patch", monkeypatch, patch=16, gap=8, jitter=1, hidden=(8,))
    assert found[0] == "picture, 4 of 40 right" and found[3] == "label 0"
    assert marks == [False] + 10 * [None]


def test_tasks_that_do_not_classify_show_their_puzzles_alone(monkeypatch):
    found, marks = titles("counting", monkeypatch, tile=32, counts=5)
    assert found[1] == "tile 1" and marks is None


def test_an_absent_package_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoard(tmp_path)


def test_the_projectors_files_agree(finished):
    logs = finished[1] / "logs"
    vectors = np.loadtxt(logs / "projector" / "vectors.tsv")
    labels = (logs / "projector" / "metadata.tsv").read_text().split()
    assert vectors.shape == (10, 192) and labels == [str(k % 4) for k in range(10)]
    assert Image.open(logs / "projector" / "sprite.png").size == (4 * 32, 3 * 32)
    model = load_run(finished[1] / "run")
    with np.load(finished[0]) as file:
        images = file["images"][:10]
    pooled = model.backbone.extractor("block2", pooling="avg")(images)
    np.testing.assert_allclose(vectors, pooled, rtol=1e-3, atol=1e-4)
    config = (logs / "projector_config.pbtxt").read_text()
    assert "projector/metadata.tsv" in config and config.count("single_image_dim: 32") == 2
    sprite = np.asarray(Image.open(logs / "projector" / "sprite.png"))
    np.testing.assert_array_equal(sprite[32:64, 32:64], images[5])  # as the projector counts
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    parsed, = text_format.Parse(config, ProjectorConfig()).embeddings
    for path in (parsed.tensor_path, parsed.metadata_path, parsed.sprite.image_path):
        assert (logs / path).is_file()
    assert not list(logs.rglob("*.tmp"))


def test_looking_changes_nothing(finished, tmp_path):
    run(finished[0], tmp_path / "alone")
    pairs = zip(load_run(tmp_path / "alone").weights, load_run(finished[1] / "run").weights,
                strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_filters_are_stretched_and_in_raster_order():
    backbone = backbones.get("network_in_network", blocks=2)
    kernel = np.asarray(backbone.get_layer("block1_conv1").kernel)
    sheet = first_layer_filters(backbone, gap=1)
    one = sheet[1:6, 7:12].astype("float32")  # the second filter
    expected = kernel[..., 1] - kernel[..., 1].min()
    np.testing.assert_allclose(one, 255 * expected / expected.max(), atol=0.51)
    assert (sheet[0] == 255).all() and (sheet[:, 0] == 255).all()


def test_filters_of_edge_maps_are_grey_and_a_network_without_any_is_refused():
    sobel = backbones.get("network_in_network", blocks=2, sobel=True)
    sheet = first_layer_filters(sobel)
    assert (sheet[..., 0] == sheet[..., 1]).all() and sheet.min() == 0
    with pytest.raises(ValueError, match="no Conv2D"):
        first_layer_filters(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))


_WITHOUT_TENSORFLOW = """
import importlib.abc, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ModuleNotFoundError(f"No module named {name!r} (hidden)", name=name)

sys.meta_path.insert(0, Hidden())
from keras_pretext.training import Recipe, Trainer
from keras_pretext.training.tensorboard import TensorBoard
npz, out = sys.argv[1:]
recipe = Recipe(name="arrays", task="rotation", backbone=("network_in_network", {"blocks": 2}),
                data="npz:" + npz, test_split="train", epochs=1, batch_size=16, test_images=32)
board = TensorBoard(out + "/logs", embeddings=10, data_seconds=0.05)
Trainer(recipe, out, callbacks=[board], progress=False).run()
assert "tensorflow" not in sys.modules
"""


@pytest.mark.slow
def test_it_writes_where_there_is_no_tensorflow(npz, tmp_path):
    pytest.importorskip("jax")
    subprocess.run([sys.executable, "-c", _WITHOUT_TENSORFLOW, npz, tmp_path], check=True,
                   env={**os.environ, "KERAS_BACKEND": "jax"}, timeout=600)
    events = read(tmp_path / "logs")
    assert [e.step for e in events.Scalars("train/loss")] == [6]
    assert [e.step for e in events.Images("puzzles")] == [6]
    assert (tmp_path / "logs" / "projector_config.pbtxt").is_file()
