import json

import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.evaluation.audit import audit
from keras_pretext.image import framing as framings
from keras_pretext.tasks import permutations
from keras_pretext.tasks.jigsaw import Jigsaw

SMALL = {"tile": 12, "cell": 15, "permutations": 20, "puzzles": 3, "embedding": 16, "hidden": 24}


def small(**options):
    return tasks.get("jigsaw", **{**SMALL, **options})


def drawn(task, rng, count=1):
    return rng.random((count, task.num_draws), dtype=np.float32)


def framed(task, rng, count=1):
    return rng.integers(0, 256, (count, task.image_size, task.image_size, 3), dtype=np.uint8)


def own(task, draws):
    """The draws of the puzzle: grey, permutations, tiles."""
    draws = draws[:, task.framing.num_draws:]
    return draws[:, 0], draws[:, 1:1 + task.puzzles], draws[:, 1 + task.puzzles:].reshape(
        len(draws), task.grid ** 2, 8)


def test_the_papers_geometries():
    task = tasks.get("jigsaw", permutations=10)
    assert task.image_size == 3 * 75 == 225
    framing = framings.serialize(task.framing)
    assert framing == {"kind": "grid_crop", "size": 225, "resize": 256, "cells": 3,
                       "centred": False}
    task = tasks.get("jigsaw", cell=85, permutations=10)
    assert framings.serialize(task.framing) == {**framing, "size": 255, "centred": True}
    small_one = tasks.get("jigsaw", tile=32, cell=38, permutations=10)
    assert framings.serialize(small_one.framing) == {**framing, "size": 114, "resize": 128}
    window = task.framing.window(np.int32(256), np.int32(400), None)
    assert [int(v) for v in window] == [0, 72, 255, 255]


def test_every_channel_of_every_tile_lies_where_the_draws_say(rng):
    task = small(grey=0.0)
    image, draws = framed(task, rng, 2), drawn(task, rng, 2)
    tiles = np.asarray(task.layer().framed(image, draws)[0]["tiles"])
    assert tiles.dtype == np.uint8 and tiles.shape == (2, 9, 12, 12, 3)
    numbers = own(task, draws)[2]
    for k in range(2):
        for t in range(9):
            y, x = (np.floor(numbers[k, t, :2] * 4)).astype(int)
            for c in range(3):
                # up to 2 pixels more, but no farther than the cell's 15 = 12 + 3
                down = min(y + int(numbers[k, t, 2 + c] * 3), 3) + t // 3 * 15
                right = min(x + int(numbers[k, t, 5 + c] * 3), 3) + t % 3 * 15
                np.testing.assert_array_equal(
                    tiles[k, t, :, :, c], image[k, down:down + 12, right:right + 12, c])


def test_at_the_ends_of_the_draws_tiles_stay_in_their_cells():
    """Each cell of the picture has its own colour: no tile has that of a neighbour."""
    task = small(grey=0.0)
    image = np.repeat(np.repeat(np.arange(9, dtype="uint8").reshape(3, 3), 15, 0), 15, 1)
    image = np.stack([image * 10 + c for c in range(3)], -1)[None]
    for value in (0.0, 0.5, 1 - 2 ** -24):
        draws = np.full((1, task.num_draws), value, "float32")
        inputs, orders = task.layer().framed(image, draws)
        tiles = np.asarray(inputs["tiles"])[0]
        for t in range(9):
            assert (tiles[t] == [10 * t, 10 * t + 1, 10 * t + 2]).all()
        assert (np.asarray(orders) == int(value * 20)).all()


def test_tiles_do_not_touch_as_a_rule(rng):
    """T-11: of 64 in 75 neighbours are 11 pixels apart on average, of 64 in 64 never."""
    gaps = {}
    for cell in (75, 64):
        task = tasks.get("jigsaw", cell=cell, permutations=10, shift=0, grey=0.0)
        image = np.zeros((40, task.image_size, task.image_size, 3), "uint8")
        image[..., 0] = np.arange(task.image_size)[None, None]
        image[..., 1] = image[..., 0]
        left = np.asarray(task.layer().framed(image, drawn(task, rng, 40))[0]["tiles"])[..., 0]
        left = left[:, :, 0].astype(int).reshape(-1, 3, 64)
        gaps[cell] = (left[:, 1:, 0] - left[:, :-1, -1] - 1).mean()
    assert gaps[75] == pytest.approx(11, abs=0.5) and gaps[64] == 0


def test_some_pictures_are_grey_as_a_whole(rng):
    task = small()
    count = 400
    image, draws = framed(task, rng, count), drawn(task, rng, count)
    tiles = np.asarray(task.layer().framed(image, draws)[0]["tiles"]).astype(int)
    grey = (tiles == tiles[..., :1]).all((2, 3, 4))
    np.testing.assert_array_equal(grey.any(1), grey.all(1))
    np.testing.assert_array_equal(grey.all(1), own(task, draws)[0] < 0.3)
    assert abs(grey.mean() - 0.3) < 0.07
    colour = np.asarray(small(grey=0.0, shift=0).layer().framed(image, draws)[0]["tiles"])
    luma = (colour[grey.all(1)].astype(int) @ [299, 587, 114] + 500) // 1000
    np.testing.assert_array_equal(luma, tiles[grey.all(1)][..., 0])


@pytest.mark.parametrize("shift", [0, 2])
def test_one_picture_alone_gives_what_it_gives_in_a_batch(rng, shift):
    """Alone, tiles are cut and greyed another way, which is faster."""
    task = small(grey=0.5, shift=shift)
    image, draws = framed(task, rng, 8), drawn(task, rng, 8)
    batch = task.layer().framed(image, draws)[0]["tiles"]
    for k in range(8):
        alone = task.layer().framed(image[k], draws[k])[0]["tiles"]
        np.testing.assert_array_equal(alone, batch[k])


def test_labels_are_the_permutations_and_every_one_is_as_frequent(rng):
    task = small(puzzles=8)
    draws = drawn(task, rng, 2500)
    layer = task.layer()
    orders = np.asarray(layer.orders(draws[:, layer.framing.num_draws:]))
    count = np.bincount(orders.ravel(), minlength=20)
    assert len(count) == 20 and abs(count / 1000 - 1).max() < 0.15
    assert abs(np.corrcoef(orders.T) - np.eye(8)).max() < 0.08  # eight independent ones
    inputs, labels = layer.framed(framed(task, rng), draws[:1])
    np.testing.assert_array_equal(labels, inputs["permutations"])
    assert labels.dtype == np.int32


def test_slot_t_receives_tile_perm_t():
    """By hand: of the tiles a..i, the permutation 8 3 6 ... puts i first, then d, then g."""
    order = [8, 3, 6, 7, 2, 1, 4, 0, 5]
    task = small(permutations=[list(range(9)), order], puzzles=2)
    codes = np.arange(18, dtype="float32").reshape(1, 9, 2)
    found = np.asarray(task.arranged(keras.ops.convert_to_tensor(codes),
                                     keras.ops.convert_to_tensor([[1, 0]])))
    np.testing.assert_array_equal(found[0, 0].reshape(9, 2)[:, 0], 2.0 * np.array(order))
    np.testing.assert_array_equal(found[0, 1], codes.ravel())
    tiles = np.stack([np.full((12, 12, 3), ord(c), "uint8") for c in "abcdefghi"])
    board = task.board(tiles, order)
    assert "".join(chr(board[15 * y, 15 * x, 0]) for y in range(3) for x in range(3)) == (
        "idghcbeaf")


def test_arranging_the_codes_equals_encoding_the_shuffled_tiles(rng):
    task = small(permutations=[list(range(9)), *permutations.permutation_set(8).tolist()],
                 puzzles=9)
    model = task.attach(backbones.get("network_in_network", blocks=2))
    tiles = np.asarray(task.layer().framed(framed(task, rng), drawn(task, rng))[0]["tiles"])
    together = np.asarray(model({"tiles": tiles, "permutations": np.arange(9)[None]}))
    as_they_are = np.zeros((1, 9), "int32")  # the identity
    for k, order in enumerate(task.table):
        alone = np.asarray(model({"tiles": tiles[:, order], "permutations": as_they_are}))
        np.testing.assert_allclose(alone[0, 0], together[0, k], rtol=1e-3, atol=1e-4)
    assert abs(together[0, 1] - together[0, 0]).max() > 1e-2


def test_no_tile_tells_its_brightness_or_contrast(rng):
    """T-12: the answer is the same where every tile has its own brightness and contrast."""
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    tiles = rng.integers(0, 64, (1, 9, 12, 12, 3)).astype("uint8")
    other = (tiles * rng.integers(1, 3, (1, 9, 1, 1, 3)) + rng.integers(0, 100, (1, 9, 1, 1, 3)))
    orders = np.array([[0, 1, 2]])
    before, after = (np.asarray(model({"tiles": x.astype("uint8"), "permutations": orders}))
                     for x in (tiles, other))
    np.testing.assert_allclose(before, after, atol=2e-3)
    black = np.asarray(model({"tiles": np.zeros_like(tiles), "permutations": orders}))
    assert np.isfinite(black).all()


@pytest.mark.parametrize("shift, seen", [(0, 0.95), (2, 0.6)])
def test_a_lens_is_hidden_by_shifting_channels(rng, shift, seen):
    """T-10: how much more green moves right in right tiles than in left ones, as a lens does."""
    task = small(tile=24, cell=30, shift=shift, grey=0.0)
    grey = np.repeat(framed(task, rng, 60)[..., :1], 3, -1)
    grey[:, :, :30, 1] = np.roll(grey[:, :, :30, 1], -1, 2)  # left cells: outwards, to the left
    grey[:, :, 60:, 1] = np.roll(grey[:, :, 60:, 1], 1, 2)
    tiles = np.asarray(task.layer().framed(grey, drawn(task, rng, 60))[0]["tiles"])
    red, green = (tiles[..., c].astype(float) - 127 for c in (0, 1))
    scores = np.stack([(red[..., 6:-6, 6:-6] * green[..., 6:-6, 6 + k:18 + k]).mean((2, 3))
                       for k in range(-3, 4)], -1)
    lag = scores.argmax(-1) - 3
    guess = np.sign(lag[:, [0, 3, 6, 2, 5, 8]])
    right = (guess == np.array([-1, -1, -1, 1, 1, 1])).mean()
    assert right > seen if shift == 0 else right < seen


@pytest.mark.slow
@pytest.mark.parametrize("probe, on, off", [
    ("chromatic", {"grey": 0.66}, {"grey": 0.0, "shift": 0}),
    ("noise", {}, {"framing": {"kind": "resize_crop", "size": 84, "resize": 96}}),
])
def test_a_network_finds_no_shortcut_unless_it_is_left_open(probe, on, off):
    """T-10 and T-13: a lens, and the pattern that resampling leaves in each cell."""
    options = {"tile": 24, "cell": 28, "permutations": 20, "embedding": 64, "hidden": 128,
               "dropout": 0.0}
    closed, = audit(tasks.get("jigsaw", **options, **on), [probe], seed=1)
    opened, = audit(tasks.get("jigsaw", **options, **off), [probe], seed=1, steps=600)
    assert not closed.leaks and opened.leaks and opened.solved > 0.2


def test_resizing_leaves_no_edge(rng):
    """T-20: at the border of a resized picture nothing comes from outside of it."""
    task = small(grey=0.0)
    for value in (0.0, 1 - 2 ** -24):
        draws = np.full((task.num_draws,), value, "float32")
        tiles = task.layer()(np.full((37, 91, 3), 200, "uint8"), draws)[0]["tiles"]
        assert (np.asarray(tiles) == 200).all()


def test_training_and_testing_answer_alike_whatever_else_is_in_the_batch(rng):
    """T-17: no statistics over the tiles of one picture or over the batch, in the paper's network.
    """
    task = small(tile=32, cell=38, dropout=0.0)
    backbone = backbones.get("alexnet", flavour="cfn", fc_units=(), image_size=32)
    model = task.attach(backbone)
    x = task.layer().framed(framed(task, rng, 2), drawn(task, rng, 2))[0]
    both = np.asarray(model(x, training=True))
    one = np.asarray(model({k: v[:1] for k, v in x.items()}, training=False))
    np.testing.assert_allclose(both[:1], one, atol=1e-3, rtol=1e-3)


def test_the_papers_network():
    task = tasks.get("jigsaw", permutations=100)
    model = task.attach(backbones.get("alexnet", flavour="cfn", fc_units=(), image_size=64))
    shape = {layer.name: layer for layer in model.layers}
    assert shape["flat"].output.shape == (None, 3 * 3 * 256)  # pool5, with sizes rounded up
    assert shape["tile_fc6"].units == 1024 and shape["puzzle_fc7"].units == 4096
    assert shape["puzzle_fc7"].input.shape == (None, 8, 9 * 1024)
    assert model.output_shape == (None, 8, 100)


def test_a_backbones_own_fc6_is_the_code():
    task = small(tile=32, cell=38)
    model = task.attach(backbones.get("alexnet", flavour="cfn", fc_units=(48,), image_size=32))
    names = {layer.name: layer for layer in model.layers}
    assert "tile_fc6" not in names and names["puzzle_fc7"].input.shape == (None, 3, 9 * 48)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small()
    model = task.attach(backbones.get("network_in_network", blocks=2))
    inputs, labels = task.layer().framed(framed(task, rng, 2), drawn(task, rng, 2))
    logits = model(inputs)
    loss = model.compute_loss(x=inputs, y=labels, y_pred=np.zeros_like(logits))
    assert float(loss) == pytest.approx(task.chance["loss"])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(inputs), logits, atol=1e-5)
    assert again.task == task and task == Jigsaw.from_config(task.get_config())
    history = model.fit(inputs, labels, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_config_holds_a_table_of_more_tiles_than_digits(rng):
    table = [rng.permutation(16).tolist() for _ in range(5)]
    task = tasks.get("jigsaw", grid=4, tile=12, cell=15, permutations=table)
    again = Jigsaw.from_config(json.loads(json.dumps(task.get_config())))
    assert again == task
    np.testing.assert_array_equal(again.table, table)


def test_a_config_holds_its_permutations_to_their_hash(tmp_path):
    config = small().get_config()
    assert config["permutations"] == 20 and len(config["permutations_sha256"]) == 64
    with pytest.raises(ValueError, match="not those that labels count in.*Received: 20"):
        Jigsaw.from_config({**config, "permutation_seed": 1})
    path = tmp_path / "set.txt"
    permutations.save(path, permutations.permutation_set(12, seed=5))
    task = small(permutations=str(path))
    path.unlink()  # a saved model goes without the file
    again = Jigsaw.from_config(task.get_config())
    np.testing.assert_array_equal(again.table, task.table)
    assert again == task and task.get_config()["permutations"][0] == "".join(
        map(str, task.table[0]))


def test_two_by_two_has_24_orders(rng):
    task = small(grid=2, permutations=24, puzzles=1)
    assert task.image_size == 30 and task.chance["accuracy"] == 1 / 24
    model = task.attach(backbones.get("network_in_network", blocks=2))
    assert model(task.layer().framed(framed(task, rng), drawn(task, rng))[0]).shape == (1, 1, 24)


def test_one_image_of_any_size_graph_and_eager(rng):
    import tensorflow as tf

    task = small()
    layer = task.layer()
    for shape in ((50, 90, 3), (20, 20, 3), (300, 200, 3)):
        image, draws = rng.integers(0, 256, shape, dtype=np.uint8), drawn(task, rng)[0]
        eager, labels = layer(image, draws)
        graph, _ = tf.function(layer)(tf.constant(image), tf.constant(draws))
        assert eager["tiles"].shape == (9, 12, 12, 3) and labels.shape == (3,)
        np.testing.assert_array_equal(eager["tiles"], graph["tiles"])


@pytest.mark.parametrize("options, message", [
    ({"tile": 64, "cell": 60}, r"85 = 64 \+ 21. Received: cell 60 = tile 64 \+ -4"),
    ({"shift": 4}, "15 - 12 = 3. Received: shift=4"),
    ({"framing": {"kind": "centre_crop", "size": 44}}, r"3 \* 15 = 45 pixels. Received: 44"),
    ({"grid": 1}, "at least 2"), ({"puzzles": 0}, "puzzles=0"), ({"grey": 1.5}, "grey=1.5"),
    ({"selection": "men"}, "Did you mean 'mean'"), ({"permutations": 10 ** 6}, "362880"),
    ({"grid": 4}, "16 tiles"), ({"permutations": "none.npy"}, "none.npy, not there"),
    ({"permutations": ["012345678", "0123"]}, "Received: 2 rows"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview_shows_the_tiles_and_each_puzzle_with_its_permutation(rng):
    task = small()
    draws = drawn(task, rng)
    row, = task.preview([rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)], draws)
    assert row[0][0] == "tiles" and len(row) == 1 + task.puzzles
    label = int(own(task, draws)[1][0, 0] * 20)
    assert row[1][0] == f"{label}: {' '.join(map(str, task.table[label]))}"
    tiles, puzzle = row[0][1], row[1][1]
    first = task.table[label][0]  # the tile that stands first
    y, x = first // 3 * 15, first % 3 * 15
    np.testing.assert_array_equal(puzzle[:12, :12], tiles[y:y + 12, x:x + 12])


def test_flat_field_hides_a_slope_of_light_from_the_network_and_is_saved(rng, tmp_path):
    backbone = backbones.get("alexnet", flavour="cfn", fc_units=(), image_size=32)
    tiles = rng.normal(128, 20, (1, 9, 32, 32, 3))
    shade = 1 - 0.3 * np.linspace(0, 1, 32)[:, None, None]
    orders = np.zeros((1, 3), "int32")
    change = {}
    for flat in (True, False):
        keras.utils.set_random_seed(0)
        task = small(tile=32, cell=38, dropout=0.0, flat_field=flat)
        assert tasks.get("jigsaw", **task.get_config()) == task and task.flat_field == flat
        model = task.attach(backbone)
        even, dark = ({"tiles": np.clip(x, 0, 255).astype("uint8"), "permutations": orders}
                      for x in (tiles, tiles * shade))
        answers = np.asarray(model(even)), np.asarray(model(dark))
        change[flat] = np.abs(answers[0] - answers[1]).mean()
        if flat:
            model.save(tmp_path / "flat.keras")
            again = keras.saving.load_model(tmp_path / "flat.keras")
            assert again.task == task
            np.testing.assert_array_equal(again(dark), answers[1])
    assert change[True] < 0.2 * change[False]


def test_one_channel_is_left_the_same_in_all_tiles_and_each_as_often(rng):
    task = small(one_channel=True, shift=0)
    assert tasks.get("jigsaw", **task.get_config()) == task
    size = task.image_size
    pictures = np.broadcast_to(np.array([10, 20, 30], "uint8"), (300, size, size, 3))
    draws = rng.random((300, task.num_draws), dtype="float32")
    tiles = np.asarray(task.layer().framed(pictures, draws)[0]["tiles"])
    values = tiles[:, 0, 0, 0, 0]
    assert (tiles == values[:, None, None, None, None]).all()
    assert (np.bincount(values, minlength=31)[[10, 20, 30]] > 70).all()
