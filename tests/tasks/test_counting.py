import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.image.halving import FILTERS, halve
from keras_pretext.tasks.counting import Counting


def small(**options):
    return tasks.get("counting", **{"tile": 16, "counts": 20, **options})


def framed(rng, count=1, size=32):
    return rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def numbers(task, count, which=0.0, grey=0.9):
    """Draws with the last two, of the filter and of the colour, set."""
    draws = np.full((count, task.num_draws), 0.5, "float32")
    draws[:, -2:] = which, grey
    return draws


def test_a_half_and_four_tiles(rng):
    task, pictures = small(), framed(rng, 3)
    found, labels = task.layer().framed(pictures, numbers(task, 3))
    found = np.asarray(found)
    assert found.dtype == np.uint8 and found.shape == (3, 5, 16, 16, 3)
    np.testing.assert_array_equal(labels, [0, 0, 0])
    for image, five in zip(pictures, found, strict=True):
        top = np.concatenate([five[1], five[2]], 1)
        bottom = np.concatenate([five[3], five[4]], 1)
        np.testing.assert_array_equal(np.concatenate([top, bottom]), image)


@pytest.mark.parametrize("place, name", enumerate(FILTERS))
def test_a_draw_chooses_the_filter(rng, place, name):
    task, picture = small(), framed(rng)
    found, _ = task.layer().framed(picture, numbers(task, 1, (place + 0.5) / 4))
    expected = halve(picture, (name,), np.zeros(1, "int32"))
    np.testing.assert_array_equal(found[:, 0], expected)


def test_filters_are_equally_likely_and_two_thirds_are_grey(rng):
    task = small()
    draws = rng.random((3000, task.num_draws), dtype=np.float32)
    picture = np.zeros((3000, 32, 32, 3), "uint8")
    picture[:, 16:, :, 0], picture[:, :, :16, 1] = 255, 120
    found = np.asarray(task.layer().framed(picture, draws)[0])
    grey = (found == found[..., :1]).all((1, 2, 3, 4))
    assert grey.mean() == pytest.approx(2 / 3, abs=0.03)
    halves = [half.tobytes() for half in found[~grey, 0]]
    shares = np.array([halves.count(half) for half in set(halves)]) / len(halves)
    assert len(shares) == 4 and abs(shares - 0.25).max() < 0.05


def test_grey_is_luminance_in_all_five(rng):
    task, picture = small(), framed(rng)
    found = np.asarray(task.layer().framed(picture, numbers(task, 1, grey=0.5))[0])[0]
    assert (found == found[..., :1]).all()
    luma = picture[0, :16, :16] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found[1, ..., 0].astype(float), luma, atol=0.51)
    coloured = np.asarray(small(grey=0.0).layer().framed(picture, numbers(task, 1, grey=0.0))[0])
    np.testing.assert_array_equal(coloured[0, 1], picture[0, :16, :16])


def test_the_papers_geometry():
    task = Counting()
    assert (task.tile, task.image_size, task.counts, task.margin) == (114, 228, 1000, 10)
    assert task.framing.get_config() == {"size": 228, "resize": 256}
    assert task.chance == {"loss": 10.0, "accuracy": 0.5}


def test_tile_borders_wander_with_the_crop(rng):
    """The same pixel of a picture lies in another tile under another draw."""
    task = small(framing={"kind": "resize_crop", "size": 32, "resize": 48})
    ramp = np.zeros((1, 48, 48, 3), "uint8") + np.arange(48, dtype="uint8")[:, None, None]
    draws = numbers(task, 1)
    corners = set()
    for shift in (0.0, 0.4, 0.99):
        draws[:, 0] = shift
        corners.add(int(np.asarray(task.layer()(ramp, draws)[0])[0, 3, 0, 0, 0]))
    assert len(corners) == 3 and min(corners) == 16 and max(corners) == 32


def test_one_image_equals_its_place_in_a_batch(rng):
    task = small()
    images, draws = framed(rng, 4, 40), rng.random((4, task.num_draws), dtype=np.float32)
    batch, _ = task.layer()(images, draws)
    one, label = task.layer()(images[2], draws[2])
    np.testing.assert_array_equal(one, batch[2])
    assert label.shape == ()


def test_the_five_pictures_go_through_one_network_and_counts_are_not_negative(rng):
    task = small()
    backbone = backbones.get("network_in_network", blocks=2)
    model = task.attach(backbone)
    pictures = np.asarray(task.layer().framed(framed(rng, 3), numbers(task, 3))[0])
    counts = np.asarray(model(pictures, training=False))
    assert counts.shape == (3, 5, 20) and counts.dtype == np.float32
    assert (counts >= 0).all() and (counts > 0).any()
    kernel, bias = model.get_layer("counts").get_weights()
    for k in range(5):
        features = np.asarray(backbone.extractor("block2", "avg")(pictures[:, k]))
        np.testing.assert_allclose(counts[:, k], np.maximum(features @ kernel + bias, 0),
                                   rtol=1e-3, atol=1e-4)


def test_zero_counts_show_as_the_margin_and_metrics_follow_the_loss(rng):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    pictures, labels = task.layer().framed(framed(rng, 6), numbers(task, 6))
    counts = np.asarray(model(pictures, training=False))
    zeros = np.zeros_like(counts)
    assert float(model.compute_loss(x=pictures, y=labels, y_pred=zeros)) == task.chance["loss"]
    model.reset_metrics()
    logs = model.compute_metrics(pictures, labels, counts)
    own = ((counts[:, 0] - counts[:, 1:].sum(1)) ** 2).sum(-1)
    other = ((np.roll(counts[:, 0], 1, 0) - counts[:, 1:].sum(1)) ** 2).sum(-1)
    assert float(logs["pair_distance"]) == pytest.approx(own.mean(), rel=1e-4)
    assert float(logs["other_distance"]) == pytest.approx(other.mean(), rel=1e-4)
    assert float(logs["accuracy"]) == pytest.approx((own < other).mean(), abs=1e-6)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small(filters=["area", "lanczos"], margin=4.0, grey=0.5)
    model = task.attach(backbones.get("network_in_network", blocks=2))
    pictures = np.asarray(task.layer().framed(framed(rng, 2), numbers(task, 2))[0])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(pictures), model(pictures), atol=1e-6)
    labels = np.zeros(2, "float32")
    logs, loaded = (m.compute_metrics(pictures, labels, m(pictures)) for m in (model, again))
    assert {k: float(v) for k, v in loaded.items()} == pytest.approx(
        {k: float(v) for k, v in logs.items()}, rel=1e-4)
    assert again.task == task and task == Counting.from_config(task.get_config())
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_the_papers_network_at_114_pixels():
    backbone = backbones.get("alexnet", flavour="caffenet", fc_units=(64, 64), image_size=114)
    assert backbone.get_layer("fc6").kernel.shape[:3] == (3, 3, 256)
    model = Counting().attach(backbone)
    assert model.input_shape == (None, 5, 114, 114, 3) and model.output_shape == (None, 5, 1000)


def test_eager_equals_graph_on_any_size_and_a_flat_picture_is_finite(rng):
    import tensorflow as tf

    task = small()
    layer = task.layer()
    for shape in ((50, 90, 3), (20, 24, 3)):
        image, draws = rng.integers(0, 256, shape, dtype=np.uint8), numbers(task, 1)[0]
        graph = tf.function(layer)(tf.constant(image), tf.constant(draws))[0]
        np.testing.assert_array_equal(layer(image, draws)[0], graph)
    flat = np.asarray(layer(np.full((40, 40, 3), 77, "uint8"), draws)[0])
    np.testing.assert_array_equal(flat, 77)


@pytest.mark.parametrize("options, message", [
    ({"filters": ("bicubik",)}, "Did you mean 'bicubic'"), ({"filters": ()}, "at least one"),
    ({"tile": 4}, "at least 8.*Received: tile=4"), ({"grey": 1.2}, r"\[0, 1\]. Received: 1.2"),
    ({"margin": -1}, "positive. Received: -1"),
    ({"framing": {"kind": "centre_crop", "size": 33}}, "two tiles of 16 pixels, 32. Received: 33"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview_names_the_filter(rng):
    task = small()
    row, = task.preview([framed(rng, 1, 40)[0]], numbers(task, 1, 0.6))
    assert [title for title, _ in row] == ["half, lanczos", "tile 1", "tile 2", "tile 3", "tile 4"]
    assert all(picture.dtype == np.uint8 for _, picture in row)
