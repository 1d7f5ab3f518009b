import keras
import numpy as np
import pytest

from keras_pretext import backbones, data, tasks
from keras_pretext.data.draws import draws
from keras_pretext.training import Recipe, Trainer
from keras_pretext.training.checkpoint import latest


def small(**options):
    return tasks.get("autoencoder", **{"image_size": 16, **options})


def recipe(npz, task=None, **fields):
    return Recipe(name="small", task=("autoencoder", {"image_size": 16, **(task or {})}),
                  backbone=("context_encoder", {"channels": [8, 16], "bottleneck": None}),
                  data=f"npz:{npz}", **{
                      "test_split": None, "epochs": 50, "batch_size": 16, "learning_rate": 0.003,
                      "optimizer": "adam", "weight_decay": 0.0, "checkpoint_steps": 3, **fields})


@pytest.fixture
def squares(tmp_path, rng):
    """An .npz of 64 pictures of 16 pixels, each of two colours, left and right."""
    colors = rng.integers(0, 256, (64, 1, 2, 3))
    images = np.repeat(colors, 8, 2) + np.zeros((64, 16, 16, 3), int)
    path = tmp_path / "squares.npz"
    np.savez(path, images=images.astype("uint8"), labels=np.arange(64) % 4)
    return path


def test_what_is_seen_is_what_is_asked_and_half_are_mirrored(rng):
    task = small(framing={"kind": "centre_crop", "size": 16})
    images = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    numbers = draws(0, 0, np.arange(40), task.num_draws)
    seen, asked = (np.asarray(x) for x in task.layer()(images, numbers))
    np.testing.assert_array_equal(seen, asked)
    assert seen.dtype == np.uint8
    mirrored = numbers[:, -1] < 0.5
    assert 10 < mirrored.sum() < 30
    np.testing.assert_array_equal(seen[mirrored], images[mirrored][:, :, ::-1])
    np.testing.assert_array_equal(seen[~mirrored], images[~mirrored])
    for plain in (task.layer(augment=False), small(flip=False, framing=task.framing).layer()):
        np.testing.assert_array_equal(plain(images, numbers)[0], images)
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_every_pixel_counts_alike(rng):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    images = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    answers = rng.uniform(-1, 1, images.shape).astype("float32")
    loss = model.compute_loss(x=images, y=images, y_pred=keras.ops.convert_to_tensor(answers))
    assert float(loss) == pytest.approx(((images / 127.5 - 1 - answers) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("bottleneck", [None, 10])
def test_saved_and_loaded_it_answers_the_same(rng, tmp_path, bottleneck):
    task = small(bottleneck=bottleneck)
    model = task.attach(backbones.get("network_in_network", blocks=2))
    images = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    answer = np.asarray(model(images))
    assert answer.shape == (3, 16, 16, 3) and answer.dtype == np.float32
    names = [layer.name for layer in model.layers]
    assert "channelwise" not in names and ("code" in names) == (bottleneck is not None)
    if bottleneck:
        assert model.get_layer("code").output.shape == (None, 10)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images), answer, atol=1e-6)
    assert again.task == task


def test_the_papers_sizes():
    task = tasks.get("autoencoder")
    model = task.attach(backbones.get("alexnet", flavour="deepcluster", fc_units=()))
    ups = [la for la in model.layers if isinstance(la, keras.layers.Conv2DTranspose)]
    assert ups[0].input.shape == (None, 6, 6, 256)  # pool5
    assert [la.output.shape[1] for la in ups] == [12, 24, 48, 96, 192]
    assert model.output_shape == (None, 227, 227, 3)


def test_chance_is_the_loss_of_the_best_single_color(squares):
    task = small()
    found = task.prepare(data.open(f"npz:{squares}"), 0)["constant_loss"]
    framed = np.asarray(task.layer(augment=False)(np.load(squares)["images"],
                                                  np.zeros((64, task.num_draws), "f4"))[0])
    x = framed / 127.5 - 1
    assert float(found) == pytest.approx(((x - x.mean((0, 1, 2))) ** 2).mean(), rel=1e-4)
    task.adopt({"constant_loss": found})
    assert tasks.get("autoencoder", **task.get_config()).chance == {"loss": float(found)}


def test_it_learns_and_names_what_goes_wrong(squares, tmp_path):
    def run(name, steps, task=None, **fields):
        trainer = Trainer(recipe(squares, task, **fields), tmp_path / name, progress=False,
                          max_steps=steps)
        trainer.health.patience = 300
        return trainer.run()

    row = run("learns", 80)
    assert row["health"].startswith("learning") and row["loss"] < 0.3 * 0.33
    assert row["diversity"] > 0.7 and row["psnr"] > 15
    row = run("collapse", 40, {"bottleneck": 2}, learning_rate=3.0)
    assert row["health"].startswith("collapsed: every picture"), row
    row = run("diverged", 40, learning_rate=1.0)
    assert row["health"].startswith("diverged: loss 1."), row
    row = run("stuck", 20, learning_rate=1e-9)
    assert row["health"].startswith("still at chance"), row


def test_stopping_anywhere_and_resuming_gives_the_same_to_the_bit(squares, tmp_path):
    for name, parts in (("whole", (7,)), ("parts", (2, 5))):
        for steps in parts:
            Trainer(recipe(squares, {"bottleneck": 8}), tmp_path / name, progress=False,
                    max_steps=steps).run()
    ends = [latest(tmp_path / name / "checkpoints") for name in ("whole", "parts")]
    for a, b in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert ends[0][1]["health"] == ends[1][1]["health"]


@pytest.mark.parametrize("options, message", [
    ({"image_size": 8}, "at least 16.*Received: image_size=8"),
    ({"bottleneck": 0}, "at least 1 or None. Received: image_size=16, bottleneck=0"),
    ({"framing": {"kind": "centre_crop", "size": 33}}, "image_size, 16. Received: 33"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_a_tap_that_is_no_map_is_refused():
    code = backbones.get("context_encoder", channels=(6,), bottleneck=4)
    with pytest.raises(ValueError, match="Did you mean 'conv1'"):
        small(tap="conv2").attach(code)


def test_preview(rng):
    task = small()
    row, = task.preview([rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)],
                        np.full((1, task.num_draws), 0.5))
    assert [title for title, _ in row] == ["what is seen", "what is asked"]
    np.testing.assert_array_equal(row[0][1], row[1][1])
