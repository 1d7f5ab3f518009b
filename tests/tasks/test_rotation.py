import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones, tasks
from keras_pretext.image.geometry import rotate_quarter


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (6, 32, 32, 3)).astype("uint8")


def no_flip(task, count):
    """Draws that crop at the centre and do not mirror."""
    return np.full((count, task.num_draws), 0.5, "float32")


def test_rotations_are_counter_clockwise_as_rot90(pictures):
    task = tasks.get("rotation")
    inputs, labels = task.layer()(tf.constant(pictures), no_flip(task, 6))
    assert inputs.dtype == tf.uint8 and inputs.shape == (6, 4, 32, 32, 3)
    for k in range(6):
        for turns in range(4):
            np.testing.assert_array_equal(inputs[k, turns], np.rot90(pictures[k], turns))
    np.testing.assert_array_equal(labels, np.tile(np.arange(4), (6, 1)))


def test_quarter_turns_compose(pictures):
    for turns in range(4):
        back = rotate_quarter(rotate_quarter(tf.constant(pictures), turns), 4 - turns)
        np.testing.assert_array_equal(back, pictures)


def test_the_flip_comes_before_the_rotation(pictures):
    task = tasks.get("rotation")
    draws = no_flip(task, 6)
    draws[:, -1] = 0.25
    inputs, _ = task.layer()(tf.constant(pictures), draws)
    for turns in range(4):
        np.testing.assert_array_equal(inputs[2, turns], np.rot90(pictures[2][:, ::-1], turns))


def test_one_image_equals_its_place_in_a_batch(pictures, rng):
    task = tasks.get("rotation")
    draws = rng.random((6, task.num_draws), dtype="float32")
    batch, _ = task.layer()(tf.constant(pictures), draws)
    one, labels = task.layer()(tf.constant(pictures[4]), tf.constant(draws[4]))
    np.testing.assert_array_equal(one, batch[4])
    assert labels.shape == (4,)


def test_testing_frames_centrally_and_never_flips(pictures, rng):
    task = tasks.get("rotation")
    layer = task.layer(augment=False)
    draws = rng.random((6, layer.num_draws), dtype="float32")
    inputs, _ = layer(tf.constant(pictures), draws)
    np.testing.assert_array_equal(inputs[:, 0], pictures)


@pytest.mark.parametrize("angles", [(0, 180), (90, 270)])
def test_two_way_sets(pictures, angles):
    task = tasks.get("rotation", angles=angles)
    inputs, labels = task.layer()(tf.constant(pictures), no_flip(task, 6))
    np.testing.assert_array_equal(inputs[0, 1], np.rot90(pictures[0], angles[1] // 90))
    np.testing.assert_array_equal(labels[0], [0, 1])
    assert task.chance["accuracy"] == 0.5


def test_eight_way_shows_no_corner_and_turns_the_right_way():
    task = tasks.get("rotation", angles=range(0, 360, 45))
    assert task.input_size == 22
    assert tasks.get("rotation", image_size=224, angles=range(0, 360, 45)).input_size == 158
    picture = np.full((1, 32, 32, 3), 100, "uint8")
    inputs, _ = task.layer()(tf.constant(picture), no_flip(task, 1))
    assert inputs.shape == (1, 8, 22, 22, 3)
    assert (inputs.numpy() == 100).all()  # an empty pixel would be darker
    bright = np.zeros((1, 32, 32, 3), "uint8")
    bright[:, 14:18, 24:] = 255  # a spot to the right of the centre
    inputs, _ = task.layer()(tf.constant(bright), no_flip(task, 1))
    for place, angle in enumerate(range(0, 360, 45)):
        y, x = np.argwhere(inputs[0, place, :, :, 0].numpy() > 0).mean(0) - 10.5
        assert np.degrees(np.arctan2(-y, x)) % 360 == pytest.approx(angle, abs=6)


@pytest.mark.parametrize("size", [32, 96])
def test_no_padding_shows_in_the_corners_of_odd_multiples_of_45(size, rng):
    picture = np.full((200, size + 10, size + 10, 3), 100, "uint8")
    task = tasks.get("rotation", image_size=size, angles=range(0, 360, 45))
    inputs, _ = task.layer()(tf.constant(picture), rng.random((200, task.num_draws), "float32"))
    assert (inputs.numpy() == 100).all()


def test_blur_does_not_tell_the_eight_angles(rng):
    """A linear classifier on high-frequency energies is at chance (odd against even angles)."""
    from sklearn.linear_model import LogisticRegression

    count = 400
    pictures = rng.integers(0, 256, (count, 32, 32, 3)).astype("uint8")
    task = tasks.get("rotation", angles=range(0, 360, 45))
    inputs, labels = task.layer()(tf.constant(pictures), no_flip(task, count))
    grey = inputs.numpy().mean(-1).reshape(-1, 22, 22)
    spectrum = abs(np.fft.fft2((grey - grey.mean((1, 2), keepdims=True)) * np.hanning(22)
                               * np.hanning(22)[:, None])) ** 2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(22), np.fft.fftfreq(22)))
    energy = np.log(np.stack([spectrum[:, (f >= a) & (f < a + 0.1)].mean(1)
                              for a in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)], 1))
    energy = (energy - energy.mean(0)) / energy.std(0)
    odd = labels.numpy().ravel() % 2
    half = len(odd) // 2
    score = LogisticRegression().fit(energy[:half], odd[:half]).score(energy[half:], odd[half:])
    assert score < 0.56


def test_attached_model_gives_chance_loss_for_equal_logits_and_round_trips(tmp_path, pictures):
    task = tasks.get("rotation")
    model = task.attach(backbones.get("network_in_network", blocks=2))
    inputs, labels = task.layer()(tf.constant(pictures), no_flip(task, 6))
    logits = model(inputs)
    assert logits.shape == (6, 4, 4) and logits.dtype == tf.float32
    loss = model.compute_loss(x=inputs, y=labels, y_pred=tf.zeros_like(logits))
    assert float(loss) == pytest.approx(task.chance["loss"])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(inputs), logits)
    assert again.task == task and list(again.backbone.taps) == ["block1", "block2"]


def test_keras_fit_trains_it(pictures):
    task = tasks.get("rotation")
    model = task.attach(backbones.get("network_in_network", blocks=2))
    inputs, labels = task.layer()(tf.constant(pictures), no_flip(task, 6))
    history = model.fit(inputs, labels, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and history.history["loss"][0] > 0


@pytest.mark.parametrize("config, message", [
    ({"angles": (0, 30)}, "multiples of 45"),
    ({"angles": (0,)}, "two or more"),
    ({"image_size": 32, "framing": {"kind": "pad_crop", "size": 40}}, "Received: 40"),
])
def test_bad_configs_say_what_is_legal(config, message):
    with pytest.raises(ValueError, match=message):
        tasks.get("rotation", **config)


def test_bad_images_and_draws_are_refused():
    layer = tasks.get("rotation").layer()
    with pytest.raises(ValueError, match=r"Received: shape \(32, 32\)"):
        layer(tf.zeros((32, 32), tf.uint8), tf.zeros((3,)))
    with pytest.raises(ValueError, match="needs 3 draws.*Received: 2"):
        layer(tf.zeros((32, 32, 3), tf.uint8), tf.zeros((2,)))


def test_unknown_task_names_the_nearest():
    with pytest.raises(ValueError, match="'rotation'.*Received: 'rotaton'"):
        tasks.get("rotaton")
