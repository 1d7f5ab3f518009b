import io
import json

import numpy as np
import pytest
from PIL import Image

from keras_pretext import backbones
from keras_pretext.training import Recipe, Trainer, load_run
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


@pytest.fixture(scope="module")
def events(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(finished[1] / "logs"), {"images": 0, "scalars": 0})
    return accumulator.Reload()


def test_scalars_are_the_logged_rows_each_step_once(finished, events):
    rows = [json.loads(line) for line in
            (finished[1] / "run" / "metrics.jsonl").read_text().splitlines()]
    for key, tag in (("loss", "train/loss"), ("learning_rate", "train/learning_rate"),
                     ("images_per_second", RATE), ("test_accuracy", "test/accuracy")):
        expected = [(r["step"], r[key]) for r in rows if key in r]
        found = [(e.step, e.value) for e in events.Scalars(tag)]
        assert [s for s, _ in found] == [s for s, _ in expected]
        np.testing.assert_allclose([v for _, v in found], [v for _, v in expected], rtol=1e-5)
    assert events.Scalars("speed/data alone (images per second)")[0].value > 0
    assert events.Scalars("speed/model alone (images per second)")


def test_pictures_of_puzzles_and_filters(events):
    assert [e.step for e in events.Images("puzzles")] == [6, 12]
    sheet = Image.open(io.BytesIO(events.Images("puzzles")[-1].encoded_image_string))
    assert sheet.size == (8 + 4 * 168, 8 + 4 * 188)
    filters = Image.open(io.BytesIO(events.Images("first-layer filters")[-1].encoded_image_string))
    assert filters.size == (4 * (14 * 6 + 1), 4 * (14 * 6 + 1))  # 192 filters of 5x5
    assert "health/text_summary" in events.Tags()["tensors"] or "health" in events.Tags()["tensors"]


def test_the_projectors_files_agree(finished):
    logs = finished[1] / "logs"
    vectors = np.loadtxt(logs / "projector" / "vectors.tsv")
    labels = (logs / "projector" / "labels.tsv").read_text().split()
    assert vectors.shape == (10, 192) and labels == [str(k % 4) for k in range(10)]
    assert Image.open(logs / "projector" / "sprite.png").size == (4 * 32, 3 * 32)
    model = load_run(finished[1] / "run")
    with np.load(finished[0]) as file:
        images = file["images"][:10]
    pooled = model.backbone.extractor("block2", pooling="avg")(images)
    np.testing.assert_allclose(vectors, pooled, rtol=1e-3, atol=1e-4)
    config = (logs / "projector_config.pbtxt").read_text()
    assert "projector/vectors.tsv" in config and config.count("single_image_dim: 32") == 2


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
