import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones, tasks
from keras_pretext.data.draws import draws
from keras_pretext.training import Recipe, load_run, train


def small(**options):
    return tasks.get("exemplar_triplet", **{"copies": 3, "image_size": 16, "dim": 8,
                                            "framing": {"kind": "centre_crop", "size": 24},
                                            **options})


def unchanged(task, count):
    """Draws that keep the whole picture and its colours."""
    out = np.full((count, task.num_draws), 0.5, "float32")
    copies = out.reshape(count, task.copies, 10)
    copies[..., 0] = 1.0  # all of the area
    copies[..., 9] = 1.0  # in colour
    return out


def test_copies_of_a_picture_differ_and_draws_that_change_nothing_give_it(rng):
    task = small(image_size=24)
    images = rng.integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    copies, labels = task.layer()(tf.constant(images), unchanged(task, 2))
    assert copies.shape == (2, 3, 24, 24, 3) and copies.dtype == tf.uint8
    for k in range(3):
        assert abs(copies[:, k].numpy().astype(int) - images).max() <= 1
    np.testing.assert_array_equal(labels, [[0, 1, 2]] * 2)
    copies, _ = task.layer()(tf.constant(images), draws(0, 0, np.arange(2), task.num_draws))
    assert len({copy.tobytes() for copy in copies.numpy().reshape(6, -1)}) == 6


def test_each_distortion_by_hand(rng):
    task = small(image_size=24)
    image = rng.integers(60, 180, (1, 24, 24, 3), dtype=np.uint8)

    def copy(place, value):
        numbers = unchanged(task, 1)
        numbers[:, place] = value
        return task.layer()(tf.constant(image), numbers)[0][0, 0].numpy().astype(int)

    np.testing.assert_allclose(copy(4, 0.2), image[0, :, ::-1], atol=1)
    np.testing.assert_allclose(copy(5, 1.0), image[0].astype(int) + 32, atol=1)
    colour = np.ptp(image[0], -1).mean()
    assert np.ptp(copy(6, 0.0), -1).mean() == pytest.approx(colour / 2, rel=0.05)
    np.testing.assert_allclose(copy(8, 0.0).std((0, 1)), image[0].std((0, 1)) / 2, rtol=0.05)
    np.testing.assert_allclose(copy(7, 0.0).max(-1), image[0].max(-1), atol=1)  # hue only
    assert abs(copy(7, 0.0) - image[0]).max() > 20
    grey = image[0] @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(copy(9, 0.0), np.repeat(grey[..., None], 3, -1), atol=1)


def test_two_thirds_are_grey(rng):
    task = small()
    images = rng.integers(0, 256, (300, 24, 24, 3), dtype=np.uint8)
    copies, _ = task.layer()(tf.constant(images), draws(0, 0, np.arange(300), task.num_draws))
    grey = (np.ptp(copies.numpy(), -1) == 0).all((2, 3))
    assert grey.mean() == pytest.approx(0.66, abs=0.05)


def test_one_colour_is_never_nan_and_brightness_does_not_tell(rng):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    flat = np.full((2, 24, 24, 3), [[[[0]]], [[[255]]]], np.uint8)
    copies, _ = task.layer()(tf.constant(flat), draws(0, 0, np.arange(2), task.num_draws))
    answer = np.asarray(model(copies, training=False))
    assert np.isfinite(answer).all()
    np.testing.assert_allclose(answer[0], answer[1], atol=1e-5)


def test_it_learns_to_bring_copies_together(rng):
    """Tested on other copies, each of half of a picture or more, in large patches of colour."""
    keras.utils.set_random_seed(0)
    task = small(grey=0.0)
    images = np.repeat(rng.integers(0, 256, (24, 3, 3, 3)), 8, 1).repeat(8, 2).astype("uint8")

    def copies(epoch):
        numbers = draws(0, epoch, np.arange(24), task.num_draws)
        numbers[:, ::10] = 0.5 + numbers[:, ::10] / 2  # of each copy the first is its area
        return task.layer()(tf.constant(images), numbers)

    model = task.attach(backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=16,
                                      dropout=0.0))
    model.compile(optimizer=keras.optimizers.Adam(1e-3), **task.objective())
    before = model.evaluate(*copies(1000), batch_size=24, verbose=0, return_dict=True)
    for epoch in range(40):
        model.fit(*copies(epoch), batch_size=24, verbose=0)
    after = model.evaluate(*copies(1000), batch_size=24, verbose=0, return_dict=True)
    assert after["loss"] < 0.7 * before["loss"] and after["accuracy"] > 0.9


def test_a_run(npz, tmp_path):
    recipe = Recipe(name="triplet", task=("exemplar_triplet", small().get_config()),
                    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16}),
                    data=f"npz:{npz}", test_split="train", epochs=0.1, batch_size=12)
    row = train(recipe, tmp_path / "run", progress=False)
    assert np.isfinite(row["test_loss"])
    assert load_run(tmp_path / "run").task == recipe.build_task()


def test_attached_model_and_chance(rng, tmp_path):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    copies = rng.integers(0, 256, (2, 3, 16, 16, 3), dtype=np.uint8)
    answer = model(copies)
    assert answer.shape == (2, 3, 8)
    loss = model.compute_loss(x=copies, y=np.zeros((2, 3)), y_pred=tf.ones((2, 3, 8)))
    assert float(loss) == pytest.approx(task.chance["loss"], abs=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(copies), answer, atol=1e-6)
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("options, message", [
    ({"copies": 1}, "at least 2, .*Received: copies=1"), ({"grey": 2}, "share.*Received: 2"),
    ({"margin": 0}, "positive. Received: 0"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview(rng):
    task = small()
    row, = task.preview([rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)],
                        np.full((1, task.num_draws), 0.5))
    assert [title for title, _ in row] == ["picture", "copy 1", "copy 2", "copy 3"]
