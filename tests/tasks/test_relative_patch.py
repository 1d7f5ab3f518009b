import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.tasks.relative_patch import RelativePatch, neighbours

SMALL = {"patch": 16, "gap": 8, "jitter": 1, "hidden": (32, 16)}


def small(**options):
    return tasks.get("relative_patch", **{**SMALL, **options})


def drawn(task, rng, count=1):
    return rng.random((count, task.num_draws), dtype=np.float32)


def framed(task, rng, count=1):
    return rng.integers(0, 256, (count, task.image_size, task.image_size, 3), dtype=np.uint8)


def test_labels_are_the_papers():
    """(dx, dy), y down: (-1,-1) 0, (0,-1) 1, (1,-1) 2, (-1,0) 3, (1,0) 4, (-1,1) 5, (0,1) 6."""
    first, second, label = neighbours(3)
    assert len(label) == 40  # 12 + 8 neighbouring pairs, both orders
    table = {(f, s): n for f, s, n in zip(first, second, label, strict=True)}
    assert [table[4, s] for s in (0, 1, 2, 3, 5, 6, 7, 8)] == list(range(8))
    assert table[0, 1] == 4 and table[1, 0] == 3 and table[0, 4] == 7 and table[8, 4] == 0
    assert all(table[s, f] == 7 - n for (f, s), n in table.items())
    assert (0, 2) not in table and (2, 3) not in table  # no wrap at the end of a row


def test_patches_lie_where_the_draws_say(rng):
    task = small(color="keep", pixelate=0.0)
    layer, image, draws = task.layer(), framed(task, rng), drawn(task, rng)
    found, label = layer.framed(keras.ops.convert_to_tensor(image),
                                keras.ops.convert_to_tensor(draws))
    np.testing.assert_array_equal(label[0], neighbours(3)[2])
    own = draws[0, layer.framing.num_draws:].reshape(9, 6)
    for k in range(9):
        top, left = (np.floor(own[k, :2] * 3) + np.array([k // 3, k % 3]) * 24).astype(int)
        patch = image[0, top:top + 16, left:left + 16].astype("float64")
        np.testing.assert_allclose(found[0, k], patch - patch.mean((0, 1)), atol=1e-3)


def test_the_papers_geometry_fits():
    task = RelativePatch()
    assert task.image_size == 3 * 96 + 2 * 48 + 2 * 7 == 398
    assert task.framing.get_config() == {"size": 398, "area": (150_000, 450_000), "margin": 0.0}
    assert task.num_draws == 3 + 6 * 9


def test_neighbours_never_touch(rng):
    """Jitter moves two patches at most 2 * jitter nearer: some gap is always left."""
    for options in ({"jitter": 4}, {"gap": 14, "jitter": 7}):
        with pytest.raises(ValueError, match="less than the gap"):
            small(**options)


def test_no_patch_tells_its_brightness(rng):
    task = small()
    found, _ = task.layer().framed(framed(task, rng, 2), drawn(task, rng, 2))
    np.testing.assert_allclose(np.asarray(found).mean((2, 3)), 0, atol=1e-3)


def test_chance_knows_that_sides_are_more_frequent_than_corners():
    """Of 40 pairs 6 lie on each side and 4 at each corner."""
    chance = small().chance
    assert chance["accuracy"] == pytest.approx(6 / 40)
    expected = -4 * (0.15 * np.log(0.15) + 0.1 * np.log(0.1))
    assert chance["loss"] == pytest.approx(expected)


def test_both_patches_of_a_pair_draw_for_themselves(rng):
    task = small()
    layer, image, draws = task.layer(), framed(task, rng), drawn(task, rng)
    before = np.asarray(layer.framed(image, draws)[0])
    draws[0, layer.framing.num_draws + 6 * 4:layer.framing.num_draws + 6 * 5] = 0.999
    after = np.asarray(layer.framed(image, draws)[0])
    changed = [not np.array_equal(before[0, k], after[0, k]) for k in range(9)]
    assert changed == [k == 4 for k in range(9)]


def test_chromatic_shift_is_hidden_by_dropping_and_by_projecting(rng):
    """A green channel moved outwards, as a lens does, is in what the net sees only if kept."""
    task = small(pixelate=0.0)
    grey = np.repeat(framed(task, rng)[..., :1], 3, -1)
    shifted = grey.copy()
    shifted[..., 1] = np.roll(grey[..., 1], 1, 2)

    def correlation(color):
        """Between red and the shifted green: whether the shift can be seen."""
        patches = np.asarray(small(color=color, pixelate=0.0).layer().framed(
            shifted, draws)[0])[0]
        red, green = patches[:, :, 1:, 0], np.roll(patches[..., 1], -1, 2)[:, :, 1:]
        return np.mean([np.corrcoef(r.ravel(), g.ravel())[0, 1]
                        for r, g in zip(red, green, strict=True)])

    draws = drawn(task, rng)
    draws[:, task.framing.num_draws:] = 0.5
    assert correlation("keep") > 0.9
    assert abs(correlation("drop")) < 0.2


def test_the_model_encodes_each_patch_once_and_pairs_them_in_order(rng):
    task = small()
    backbone = backbones.get("network_in_network", blocks=2)
    model = task.attach(backbone)
    patches = np.asarray(task.layer().framed(framed(task, rng, 2), drawn(task, rng, 2))[0])
    logits = np.asarray(model(patches, training=False))
    assert logits.shape == (2, 40, 8)
    flat = backbone.extractor("block2")(patches.reshape(-1, 16, 16, 3) + np.array(backbone.mean))
    codes = np.asarray(flat).reshape(2, 9, -1)
    x = np.concatenate([codes[:, [4]], codes[:, [2]]], -1)  # the patch up-right of the middle one
    named = {layer.name: layer for layer in model.layers}
    for name in ("pair_fc7", "pair_fc7_bn", "pair_fc7_relu", "pair_fc8", "pair_fc8_relu",
                 "pair_logits"):
        x = named[name](x)
    first, second, _ = neighbours(3)
    pair = int(np.flatnonzero((first == 4) & (second == 2))[0])
    np.testing.assert_allclose(logits[:, [pair]], x, rtol=1e-3, atol=1e-4)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    patches = np.asarray(task.layer().framed(framed(task, rng), drawn(task, rng))[0])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(patches), model(patches), atol=1e-5)
    assert again.task == task and task == RelativePatch.from_config(task.get_config())


def test_the_deepcontext_network_at_96_pixels():
    backbone = backbones.get("alexnet", flavour="deepcontext", fc_units=(64,), image_size=96)
    model = tasks.get("relative_patch", hidden=(32, 16)).attach(backbone)
    assert model.input_shape == (None, 9, 96, 96, 3) and model.output_shape == (None, 40, 8)


def test_one_image_of_any_size_graph_and_eager(rng):
    import tensorflow as tf

    task = small()
    layer = task.layer()
    for shape in ((50, 90, 3), (70, 70, 3), (400, 300, 3)):
        image, draws = rng.integers(0, 256, shape, dtype=np.uint8), drawn(task, rng)[0]
        eager = layer(image, draws)[0]
        graph = tf.function(layer)(tf.constant(image), tf.constant(draws))[0]
        assert eager.shape == (9, 16, 16, 3)
        apart = np.abs(np.asarray(eager) - np.asarray(graph)) > 0.05
        assert apart.mean() < 5e-3  # a pixel may be rounded to the next level
    flat = layer(np.full((80, 80, 3), 200, "uint8"), draws)[0]
    np.testing.assert_allclose(flat, 0, atol=1e-3)


@pytest.mark.parametrize("options, message", [
    ({"color": "dorp"}, "drop"), ({"grid": 1}, "at least 2"), ({"pixelate": 1.5}, r"\[0, 1\]"),
    ({"framing": {"kind": "centre_crop", "size": 64}}, "3 patches of 16, gaps of 8 and a jitter"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview_shows_the_patches_and_their_labels(rng):
    task = small()
    row, = task.preview([rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)], drawn(task, rng))
    assert [title for title, _ in row[3:]] == [f"label {k}" for k in range(8)]
    assert all(picture.dtype == np.uint8 for _, picture in row)


def test_flat_field_takes_away_the_light_of_a_vignette_and_keeps_one_contrast(rng):
    task = tasks.get("relative_patch", patch=16, gap=8, jitter=1, color="keep", pixelate=0.0,
                     flat_field=True)
    size = task.image_size
    picture = rng.normal(128, 20, (1, size, size, 3))
    place = np.linspace(-1, 1, size) ** 2
    shade = (1 - 0.25 * (place[:, None] + place[None]))[None, :, :, None]
    draws = rng.random((1, task.num_draws), dtype="float32")
    even, dark = (np.asarray(task.layer().framed(np.clip(x, 0, 255).astype("uint8"), draws)[0])
                  for x in (picture, picture * shade))
    np.testing.assert_allclose(np.sqrt((dark ** 2).mean((2, 3, 4))), 50, rtol=1e-3)
    y = np.linspace(-1, 1, 16)[:, None, None]
    np.testing.assert_allclose((dark * y).mean((2, 3, 4)), 0, atol=1e-2)
    assert np.abs(dark - even).mean() < 3
    without = tasks.get("relative_patch", patch=16, gap=8, jitter=1, color="keep", pixelate=0.0)
    bare = np.asarray(without.layer().framed((picture * shade).astype("uint8"), draws)[0])
    assert np.abs((bare * y).mean((2, 3, 4))).max() > 1  # the slope is there
    one = np.full((1, size, size, 3), 40, "uint8")
    assert not np.asarray(task.layer().framed(one, draws)[0]).any()
    assert RelativePatch.from_config(task.get_config()) == task != without
