import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_pretext import backbones, data, tasks
from keras_pretext.data.draws import draws
from keras_pretext.losses.reconstruction import Reconstruction
from keras_pretext.tasks.adversarial import AdversarialModel
from keras_pretext.training import Recipe, Trainer
from keras_pretext.training.checkpoint import latest, variables_of


def small(**options):
    return tasks.get("inpainting", **{"image_size": 16, "overlap": 1, "width": 4, **options})


def encoder():
    return backbones.get("context_encoder", channels=(6, 8), bottleneck=12)


def recipe(npz, task=None, **fields):
    options = {"image_size": 16, "overlap": 1, "width": 4, **(task or {})}
    return Recipe(name="small", task=("inpainting", options),
                  backbone=("context_encoder", {"channels": [6, 8], "bottleneck": 12}),
                  data=f"npz:{npz}", **{
                      "test_split": None, "epochs": 3, "batch_size": 16, "learning_rate": 0.002,
                      "optimizer": "adam", "momentum": 0.5, "weight_decay": 0.0,
                      "checkpoint_steps": 4, **fields})


@pytest.fixture
def squares(tmp_path, rng):
    """An .npz of 64 pictures of 16 pixels, each of two colours, left and right."""
    colors = rng.integers(0, 256, (64, 1, 2, 3))
    images = np.repeat(colors, 8, 2) + np.zeros((64, 16, 16, 3), int)
    path = tmp_path / "squares.npz"
    np.savez(path, images=images.astype("uint8"), labels=np.arange(64) % 4)
    return path


# -- the layer ------------------------------------------------------------------------------


def test_the_central_block_and_its_frame_by_hand(rng):
    task = small(flip=False)
    images = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    task.framing = type(task.framing)(16, 16)
    seen, labels = (np.asarray(x) for x in task.layer()(images, np.full((2, 3), 0.7, "float32")))
    expected = images.copy()
    expected[:, 5:11, 5:11] = (117, 104, 123)  # 8 pixels less a frame of 1
    np.testing.assert_array_equal(seen, expected)
    assert seen.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[..., :3], images[:, 4:12, 4:12])
    kind = np.full((8, 8), 2)
    kind[1:7, 1:7] = 1
    np.testing.assert_array_equal(labels[..., 3], [kind] * 2)


def test_the_papers_geometry():
    task = tasks.get("inpainting")
    layer = task.layer()
    seen, labels = layer(np.zeros((350, 400, 3), np.uint8), np.full(layer.num_draws, 0.5, "f4"))
    assert seen.shape == (128, 128, 3) and labels.shape == (64, 64, 4)
    assert (np.asarray(seen) == (117, 104, 123)).all(-1).sum() == 56**2
    assert task.framing.get_config() == {"size": 128, "resize": 350}
    assert (np.asarray(labels)[..., 3] == 2).sum() == 64**2 - 56**2


@pytest.mark.parametrize("region", ["blocks", "random"])
def test_every_picture_has_a_mask_of_its_own_and_nothing_else_changes(rng, region):
    task = small(region=region, overlap=2, flip=False, image_size=32)
    task.framing = type(task.framing)(32, 32)
    images = np.repeat(rng.integers(0, 100, (1, 32, 32, 3), dtype=np.uint8), 6, 0)
    numbers = draws(0, 0, np.arange(6), task.num_draws)
    layer = task.layer()
    seen, labels = (np.asarray(x) for x in layer(images, numbers))
    kind = labels[..., 3]
    np.testing.assert_array_equal(labels[..., :3], images)  # the answer is the whole picture
    hole = (seen != images).any(-1)
    np.testing.assert_array_equal(kind == 1, hole)
    assert (seen[hole] == (117, 104, 123)).all()
    assert len({k.tobytes() for k in kind}) == 6
    if region == "random":
        assert all(0.195 < m.mean() < 0.305 for m in hole)
    for k, y, x in np.argwhere(kind == 2):  # the frame is within two pixels of the hole
        assert hole[k, max(0, y - 2):y + 3, max(0, x - 2):x + 3].any()
    for k, y, x in np.argwhere(kind == 0):
        assert not hole[k, max(0, y - 2):y + 3, max(0, x - 2):x + 3].any()
    again = layer(images, numbers)
    np.testing.assert_array_equal(again[0], seen)


def test_mirrored_before_the_hole_is_cut_and_never_when_tested(rng):
    task = small()
    task.framing = type(task.framing)(16, 16)
    image, numbers = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), np.zeros(3, "float32")
    labels = np.asarray(task.layer()(image, numbers)[1])
    np.testing.assert_array_equal(labels[..., :3], image[:, ::-1][4:12, 4:12])
    labels = np.asarray(task.layer(augment=False)(image, numbers)[1])
    np.testing.assert_array_equal(labels[..., :3], image[4:12, 4:12])


# -- the model ------------------------------------------------------------------------------


@pytest.mark.parametrize("region, backbone, options", [
    ("central", "context_encoder", {"channels": (6, 8), "bottleneck": 12}),
    ("random", "context_encoder", {"channels": (6, 8), "bottleneck": 12}),
    ("random", "network_in_network", {"blocks": 2}),  # maps: the channel-wise layer
])
def test_saved_and_loaded_it_answers_the_same(rng, tmp_path, region, backbone, options):
    task = small(region=region)
    model = task.attach(backbones.get(backbone, **options))
    images = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    answer = np.asarray(model(images))
    assert answer.shape == (3, task.region_size, task.region_size, 3) and abs(answer).max() <= 1
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(images), answer, atol=1e-6)
    assert again.task == task and isinstance(again, AdversarialModel)
    for a, b in zip(model.discriminator.weights, again.discriminator.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_the_networks_of_the_paper():
    from keras_pretext.tasks.decoders import decode, discriminator

    code = keras.Input((1, 1, 4000))
    generator = keras.Model(code, decode(code, 64))
    sides = [layer.output.shape[1:] for layer in generator.layers if "relu" in layer.name]
    assert sides == [(4, 4, 512), (8, 8, 256), (16, 16, 128), (32, 32, 64)]
    assert generator.output_shape == (None, 64, 64, 3)
    judge = discriminator(64)
    sides = [layer.output.shape[1:] for layer in judge.layers if "relu" in layer.name]
    assert sides == [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]
    assert "judge1_bn" not in [layer.name for layer in judge.layers]

    maps = keras.Input((6, 6, 256))
    features = keras.Model(maps, decode(maps, 227))
    assert features.get_layer("channelwise").count_params() == 331_776
    ups = [la for la in features.layers if isinstance(la, keras.layers.Conv2DTranspose)]
    assert [la.output.shape[1] for la in ups] == [12, 24, 48, 96, 192]
    assert features.output_shape == (None, 227, 227, 3)


def test_a_step_of_the_game_by_hand(squares):
    """Gradients of lambda_rec L_rec + lambda_adv L_adv and of L_D, both at the same point."""
    import tensorflow as tf

    from keras_pretext.losses import adversarial

    keras.utils.set_random_seed(0)
    task = small(adversarial=0.25)
    model = task.attach(encoder())
    model.compile(optimizer=keras.optimizers.SGD(0.1), **task.objective())
    model.build_optimizers(keras.optimizers.SGD(0.01))
    images = np.load(squares)["images"][:8]
    inputs, labels = task.layer()(tf.constant(images),
                                  draws(0, 0, np.arange(8), task.num_draws))
    mine, others = model.generator_variables, model.discriminator.trainable_variables
    assert len(mine) + len(others) == len(model.trainable_variables)
    before = [v.numpy() for v in [*mine, *others]]
    state = [v.numpy() for v in model.variables]
    with tf.GradientTape(persistent=True) as tape:
        fake = model(inputs, training=True)
        x = tf.cast(labels[..., :3], "float32") / 127.5 - 1
        real_logits = model.discriminator(x, training=True)
        fake_logits = model.discriminator(fake, training=True)
        loss = Reconstruction()(labels, fake)
        g = 0.75 * loss + 0.25 * adversarial.generator_loss(fake_logits)
        d = adversarial.discriminator_loss(real_logits, fake_logits)
    expected = [w - 0.1 * tape.gradient(g, v).numpy() for w, v in zip(before, mine, strict=False)]
    expected += [w - 0.01 * tape.gradient(d, v).numpy()
                 for w, v in zip(before[len(mine):], others, strict=True)]
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)
    logs = model.train_step((inputs, labels))
    for variable, value in zip([*mine, *others], expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=2e-6)
    assert float(logs["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(logs["discriminator_loss"]) == pytest.approx(float(d), rel=1e-5)


@pytest.mark.parametrize("region", ["central", "random"])
def test_the_discriminator_sees_the_region_and_nothing_of_the_context(rng, region):
    task = small(region=region, image_size=32)
    images = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    numbers = draws(0, 0, np.arange(2), task.num_draws)
    labels = np.asarray(task.layer()(images, numbers)[1])
    there = labels[..., 3:] > 0
    seen = np.asarray(task.judged(labels, task.truth(labels)))
    np.testing.assert_allclose(seen, np.where(there, labels[..., :3] / 127.5 - 1, 0), atol=1e-6)
    answers = rng.uniform(-1, 1, seen.shape).astype("float32")
    np.testing.assert_array_equal(task.judged(labels, answers), np.where(there, answers, 0))
    if region == "random":
        assert not there.all()


def test_the_optimizers_have_the_ratio_of_rates(squares, tmp_path):
    trainer = Trainer(recipe(squares, {"rate_ratio": 8.0}), tmp_path, progress=False)
    generator, judge = trainer.model.optimizers
    assert float(generator.learning_rate) == pytest.approx(0.002)
    assert float(judge.learning_rate) == pytest.approx(0.002 / 8)
    assert judge.beta_1 == 0.5
    plain = small(adversarial=0).attach(encoder())
    assert not isinstance(plain, AdversarialModel) and plain.rate_shares == (1.0,)


# -- runs -----------------------------------------------------------------------------------


def test_stopping_anywhere_and_resuming_gives_the_same_to_the_bit(squares, tmp_path):
    """Weights, both optimizers, statistics and metrics, as the checkpoints hold them."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    Trainer(recipe(squares), whole, progress=False, max_steps=7).run()
    for steps in (3, 4):  # in the middle of an epoch
        trainer = Trainer(recipe(squares), parts, progress=False, max_steps=steps)
        trainer.run()
    ends = [latest(out / "checkpoints") for out in (whole, parts)]
    for a, b in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert ends[0][1]["health"] == ends[1][1]["health"]
    held = {v.path for v in variables_of(trainer.model)}
    for optimizer in trainer.model.optimizers:
        assert int(optimizer.iterations) == 7
        assert {v.path for v in optimizer.variables} <= held


def test_chance_is_the_loss_of_the_best_single_color(squares, tmp_path):
    task = small(flip=False, overlap=0)
    found = float(task.prepare(data.open(f"npz:{squares}"), 0)["constant_loss"])
    framed = task.layer(augment=False)
    pixels = np.load(squares)["images"]
    labels = np.asarray(framed(pixels, np.zeros((64, task.num_draws), "f4"))[1])[..., :3]
    x = labels / 127.5 - 1
    assert found == pytest.approx(((x - x.mean((0, 1, 2))) ** 2).mean(), rel=1e-4)
    task.adopt({"constant_loss": np.float64(found)})
    assert task.chance == {"loss": found}
    assert tasks.get("inpainting", **task.get_config()).chance == {"loss": found}
    trainer = Trainer(recipe(squares), tmp_path / "run", progress=False)
    assert trainer.model.task.chance == trainer.health.chance != small().chance


def test_it_learns_to_continue_colors_and_names_what_goes_wrong(squares, tmp_path):
    """Provoked: answers driven to the ends of the tanh; a discriminator without a match."""
    def run(name, steps, task=None, **fields):
        trainer = Trainer(recipe(squares, task, epochs=50, **fields), tmp_path / name,
                          progress=False, max_steps=steps)
        trainer.health.patience = 300
        return trainer.run()

    row = run("learns", 80, {"overlap": 0}, learning_rate=0.01)
    assert row["health"].startswith("learning") and row["loss"] < 0.5 * 0.33
    assert row["diversity"] > 0.5
    row = run("collapse", 40, learning_rate=3.0)
    assert row["health"].startswith("collapsed: every picture"), row
    row = run("won", 140, {"rate_ratio": 1e-5, "width": 8}, learning_rate=1e-7)
    assert row["health"].startswith("the discriminator has won"), row
    row = run("stuck", 20, learning_rate=1e-9)
    assert row["health"].startswith("still at chance"), row


def test_the_thresholds_of_the_diagnosis():
    class Stub:
        class health:
            patience, images, best, mean, chance = 100, 100, 0.1, 0.15, {"loss": 0.2}

    def line(images=100, mean=0.15, best=0.1, **means):
        Stub.health.images, Stub.health.mean, Stub.health.best = images, mean, best
        Stub.health.means = {"diversity": 0.5, "discriminator_accuracy": 0.9,
                             "discriminator_loss": 0.3, **means}
        return small().diagnose(Stub)

    assert line() is None
    assert "diversity 3.0%" in line(diversity=0.03) and line(99, diversity=0.03) is None
    assert "diverged: loss 0.300 is 1.5 times" in line(mean=0.3)
    assert line(mean=0.3, best=0.25) is None  # it began so
    assert line(mean=0.2, best=0.2, diversity=0.03) is None  # all grey: at chance
    assert "has won (right in 99.9%" in line(discriminator_accuracy=0.999, discriminator_loss=0.01)
    assert line(discriminator_accuracy=0.999) is None
    del Stub.health.means["discriminator_accuracy"], Stub.health.means["discriminator_loss"]
    assert small(adversarial=0).diagnose(Stub) is None  # no game


def game(npz, out, strategy=None, frozen=False):
    """The trainer of three steps of the game."""
    trainer = Trainer(recipe(npz, {"adversarial": 0.2}, optimizer="sgd", learning_rate=0.01),
                      out, strategy=strategy, progress=False, max_steps=3)
    if frozen:  # batch statistics are a replica's own
        for model in (trainer.model, trainer.model.backbone, trainer.model.discriminator):
            for layer in model.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False
    return trainer


_ELSEWHERE = """
import sys
import numpy as np
tests, kind, npz, out = sys.argv[1:]
sys.path.insert(0, tests)
import keras
strategy = None
if kind == "two":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
from test_inpainting import game
from keras_pretext.training.checkpoint import variables_of

trainer = game(npz, out + "/run", strategy, frozen=kind == "two")
with np.load(out + "/start.npz") as file:
    for variable, name in zip(variables_of(trainer.model), sorted(file.files), strict=True):
        variable.assign(file[name])
row = trainer.run()
np.savez(out + "/row.npz", **{k: v for k, v in row.items() if k != "health"})
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind, backend", [("two", "tensorflow"), ("jax", "jax")])
def test_two_replicas_and_jax_train_as_one_replica_on_tensorflow(squares, tmp_path, kind,
                                                                 backend):
    """From the same weights, with momentum; `diversity` is of a replica's batch."""
    pytest.importorskip(backend)
    trainer = game(squares, tmp_path / "here", frozen=kind == "two")
    np.savez(tmp_path / "start.npz", **{f"v{k:04d}": np.asarray(v) for k, v in
                                        enumerate(variables_of(trainer.model))})
    row, variables = trainer.run(), variables_of(trainer.model)
    script = tmp_path / "script.py"
    script.write_text(_ELSEWHERE)
    done = subprocess.run(
        [sys.executable, script, os.path.dirname(__file__), kind, squares, tmp_path], text=True,
        env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    found = latest(tmp_path / "run" / "checkpoints")[0]
    for variable, value in zip(variables, found, strict=True):
        if not variable.path.startswith("diversity"):
            np.testing.assert_allclose(value, np.asarray(variable), atol=3e-6, rtol=1e-4,
                                       err_msg=variable.path)
    with np.load(tmp_path / "row.npz") as there:
        for name in ("loss", "generator_loss", "discriminator_loss", "discriminator_accuracy"):
            np.testing.assert_allclose(there[name], row[name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("options, message", [
    ({"region": "centre"}, "Did you mean 'central'"),
    ({"overlap": 4}, "half of the 8 pixels of the region. Received: 4"),
    ({"overlap": -1}, "Received: -1"),
    ({"adversarial": 1}, r"weight in \[0, 1\).*Received: adversarial=1"),
    ({"rate_ratio": 0}, "positive. Received.*rate_ratio=0"),
    ({"fill": (0, 0, 256)}, r"three numbers in 0..255. Received: \(0, 0, 256\)"),
    ({"frame_weight": -1}, "at least 0. Received: -1"),
    ({"image_size": 8}, "at least 16.*Received: image_size=8"),
    ({"framing": {"kind": "centre_crop", "size": 33}}, "image_size, 16. Received: 33"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview(rng):
    task = small(region="random")
    row, = task.preview([rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)],
                        np.full((1, task.num_draws), 0.5))
    assert [title for title, _ in row] == ["picture", "what is seen", "what is asked",
                                           "frame (white) and hole"]
    assert all(picture.dtype == np.uint8 and picture.shape == (16, 16, 3) for _, picture in row)
