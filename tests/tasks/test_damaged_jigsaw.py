import json

import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.image.color import AB_BINS, to_lab
from keras_pretext.tasks.damaged_jigsaw import DAMAGES, HEADS, NEEDS, DamagedJigsaw
from keras_pretext.training import Recipe, Trainer, load_run
from keras_pretext.training.pretext_metrics import evaluate

SMALL = {"tile": 16, "cell": 19, "permutations": 20, "puzzles": 3, "embedding": 16, "hidden": 24,
         "dropout": 0.0}


def small(**options):
    return tasks.get("damaged_jigsaw", **{**SMALL, **options})


def drawn(task, rng, count=1):
    return rng.random((count, task.num_draws), dtype=np.float32)


def framed(task, rng, count=1):
    return rng.integers(0, 256, (count, task.image_size, task.image_size, 3), dtype=np.uint8)


def puzzle(task, images, draws):
    return keras.tree.map_structure(np.asarray, task.layer().framed(images, draws))


def network():
    return backbones.get("network_in_network", blocks=2)


def whole_tiles(task, images, draws):
    """The tiles before any damage."""
    layer = task.layer()
    return np.asarray(layer.cut(images, draws[:, layer.framing.num_draws:]))


def test_one_tile_is_noise_and_the_others_have_only_their_lightness(rng):
    task = small()
    images, draws = framed(task, rng, 5), drawn(task, rng, 5)
    inputs, _ = puzzle(task, images, draws)
    whole = whole_tiles(task, images, draws)
    light = np.asarray(to_lab(whole.astype("float32") / 255))[..., 0]
    np.testing.assert_array_equal(inputs["missing"], np.floor(draws[:, -2] * 9))
    tiles = inputs["tiles"].astype(int)
    assert tiles.shape == (5, 9, 16, 16, 3) and (tiles == tiles[..., :1]).all()
    for k in range(5):
        for t in range(9):
            same = abs(tiles[k, t, ..., 0] - 2.55 * light[k, t]).max() <= 0.51
            assert same == (t != inputs["missing"][k])


def test_the_noise_says_nothing_of_what_was_there(rng):
    """T-19: one draw, one noise, whatever the picture and the place."""
    task = small()
    draws = drawn(task, rng, 2)
    draws[1, -1] = draws[0, -1]
    draws[:, -2] = 0.2, 0.8
    inputs, _ = puzzle(task, np.stack([np.zeros((57, 57, 3), "uint8"), framed(task, rng)[0]]),
                       draws)
    first, other = (inputs["tiles"][k, inputs["missing"][k]] for k in (0, 1))
    assert inputs["missing"].tolist() == [1, 7]
    np.testing.assert_array_equal(first, other)
    assert abs(first.mean() - 127.5) < 10 and abs(first.std() - 50) < 8


def test_where_a_piece_is_missing_says_nothing_of_the_permutation(rng):
    """T-19: given the permutation every slot is as likely, given the slot every permutation."""
    task = small(permutations=6, puzzles=2)
    count = 20000
    draws = drawn(task, rng, count)
    layer = task.layer()
    own = draws[:, layer.framing.num_draws:]
    orders, missing = np.asarray(layer.orders(own)), np.asarray(layer.missing(own))
    for k in range(2):
        slot = (task.table[orders[:, k]] == missing[:, None]).argmax(1)
        for place in (slot, missing):
            table = np.zeros((6, 9))
            np.add.at(table, (orders[:, k], place), 1)
            expected = count / 54
            chi_squared = ((table - expected) ** 2 / expected).sum()
            assert chi_squared < 53 + 5 * np.sqrt(2 * 53)  # 53 degrees of freedom


def test_what_the_heads_should_answer(rng):
    task = small()
    images, draws = framed(task, rng, 3), drawn(task, rng, 3)
    inputs, labels = puzzle(task, images, draws)
    whole = whole_tiles(task, images, draws)
    lab = np.asarray(to_lab(whole.astype("float32") / 255))
    np.testing.assert_array_equal(labels["jigsaw"], inputs["permutations"])
    for k in range(3):
        gone = inputs["missing"][k]
        light = lab[k, gone, ..., 0]
        np.testing.assert_allclose(labels["inpainting"][k], (light - light.mean()) / light.std(),
                                   atol=1e-3)
        for t in range(9):
            for y in range(2):
                for x in range(2):
                    ab = lab[k, t, 4 + 8 * y, 4 + 8 * x, 1:]
                    nearest = ((AB_BINS - ab) ** 2).sum(1).argmin() if t != gone else -1
                    assert labels["colorization"][k, t, y, x] == nearest


def test_pictures_without_colour_are_not_coloured(rng):
    """T-21. And one of a single brightness asks nothing of the painter, without NaN."""
    task = small()
    grey = np.repeat(framed(task, rng)[..., :1], 3, -1)
    flat = np.full_like(grey, 90)
    model = task.attach(network())
    for image in (grey, flat):
        inputs, labels = puzzle(task, image, drawn(task, rng))
        assert (labels["colorization"] == -1).all()
        outputs = model(inputs)
        loss = model.compute_loss(x=inputs, y=labels, y_pred=outputs)
        assert np.isfinite(float(loss))
    assert (labels["inpainting"] == 0).all()


@pytest.mark.parametrize("heads", [HEADS, *[(h,) for h in HEADS], HEADS[:2], HEADS[1:]])
def test_each_head_can_be_alone_and_chance_is_that_of_equal_answers(heads, rng):
    task = small(heads=heads, damage=[NEEDS[h] for h in heads])
    inputs, labels = puzzle(task, framed(task, rng, 2), drawn(task, rng, 2))
    model = task.attach(network())
    outputs = model(inputs)
    assert set(labels) == set(outputs) == set(heads)
    nothing = keras.tree.map_structure(keras.ops.zeros_like, outputs)
    assert float(model.compute_loss(x=inputs, y=labels, y_pred=nothing)) == pytest.approx(
        task.chance["loss"], rel=1e-4)
    logs = model.compute_metrics(inputs, labels, nothing)
    assert set(task.chance) <= set(logs)


def test_each_damage_can_be_left_out(rng):
    images = framed(small(), rng)
    seen = {}
    for left_out in (None, *DAMAGES):
        damage = [d for d in DAMAGES if d != left_out]
        task = small(damage=damage, heads=[h for h in HEADS if NEEDS[h] in damage], shift=0,
                     grey=0.0)
        draws = np.full((1, task.num_draws), 0.4, "float32")
        seen[left_out] = puzzle(task, images, draws)[0]["tiles"][0]
        whole = whole_tiles(task, images, draws)[0]
        if left_out == "shuffle":
            assert task.table.tolist() == [list(range(9))]
            assert DamagedJigsaw.from_config(task.get_config()) == task
    assert (seen["missing"][3] != seen[None][3]).any()  # tile floor(0.4 * 9) is there again
    np.testing.assert_array_equal(np.delete(seen["missing"], 3, 0), np.delete(seen[None], 3, 0))
    np.testing.assert_array_equal(np.delete(seen["grey"], 3, 0), np.delete(whole, 3, 0))


def test_the_painter_sees_zeros_for_the_missing_tile_and_the_puzzles_order(rng):
    task = small(puzzles=1)
    model = task.attach(network())
    inputs, _ = puzzle(task, framed(task, rng), drawn(task, rng))
    before = model(inputs)
    other = {**inputs, "tiles": inputs["tiles"].copy()}
    gone = int(inputs["missing"][0])
    other["tiles"][0, gone] = rng.integers(0, 256, (16, 16, 3))
    after = model(other)
    np.testing.assert_allclose(after["inpainting"], before["inpainting"], atol=1e-5)
    assert abs(np.asarray(after["jigsaw"] - before["jigsaw"])).max() > 1e-4
    reordered = model({**inputs, "permutations": (inputs["permutations"] + 1) % 20})
    assert abs(np.asarray(reordered["inpainting"] - before["inpainting"])).max() > 1e-4
    np.testing.assert_allclose(reordered["colorization"], before["colorization"], atol=1e-5)
    assert before["inpainting"].shape == (1, 16, 16)
    assert before["colorization"].shape == (1, 9, 2, 2, 313)


@pytest.mark.parametrize("tile", [12, 24, 32])
def test_any_tile_can_be_painted(tile):
    task = small(tile=tile, cell=tile + 4)
    shapes = {k: v.shape for k, v in task.attach(network()).output.items()}
    assert shapes["inpainting"] == (None, tile, tile)
    assert shapes["colorization"] == (None, 9, tile // 8, tile // 8, 313)


def test_the_papers_size():
    task = tasks.get("damaged_jigsaw", permutations=50, hidden=64)
    model = task.attach(backbones.get("alexnet", flavour="cfn", fc_units=(), image_size=64))
    layers = {layer.name: layer for layer in model.layers}
    ups = [layers[f"paint_up{k}"].output.shape[1:] for k in range(1, 6)]
    assert ups == [(4, 4, 128), (8, 8, 64), (16, 16, 32), (32, 32, 16), (64, 64, 1)]
    assert layers["color_conv"].input.shape == (None, 6, 6, 256)  # conv5
    assert model.output["colorization"].shape == (None, 9, 8, 8, 313)


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    task = small(weights={"colorization": 0.5})
    model = task.attach(network())
    inputs, _ = puzzle(task, framed(task, rng, 2), drawn(task, rng, 2))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, value in model(inputs).items():
        np.testing.assert_allclose(again(inputs)[name], value, atol=1e-5)
    assert again.task == task and again.task.weights["colorization"] == 0.5
    assert DamagedJigsaw.from_config(json.loads(json.dumps(task.get_config()))) == task


def test_the_trainer_logs_resumes_and_measures_every_head(rng, tmp_path):
    np.savez(tmp_path / "pictures.npz", images=rng.integers(0, 256, (16, 40, 40, 3), "uint8"),
             labels=np.arange(16))
    options = {**SMALL, "tile": 8, "cell": 10, "permutations": 6}
    recipe = Recipe(name="damaged", task=("damaged_jigsaw", options),
                    backbone=("resnet", {"depth": 11, "blocks": 2, "flavour": "cifar"}),
                    data=f"npz:{tmp_path / 'pictures.npz'}", test_split="train", epochs=2,
                    batch_size=8, learning_rate=0.01)
    Trainer(recipe, tmp_path / "parts", progress=False, max_steps=1).run()
    row = Trainer(recipe, tmp_path / "parts", progress=False).run()
    whole = Trainer(recipe, tmp_path / "whole", progress=False)
    assert row["loss"] == whole.run()["loss"]
    for name in ("loss", "jigsaw_loss", "inpainting_loss", "colorization_loss",
                 "jigsaw_accuracy", "colorization_accuracy"):
        assert row[name] >= 0 and row[f"test_{name}"] >= 0
    weighted = row["test_jigsaw_loss"] + row["test_inpainting_loss"] + 0.1 * row[
        "test_colorization_loss"]
    assert row["test_loss"] == pytest.approx(weighted, rel=1e-4)
    found = evaluate(load_run(tmp_path / "whole"), whole.test_source, 8)
    assert found["loss"] == pytest.approx(row["test_loss"], rel=1e-4)


@pytest.mark.parametrize("options, message", [
    ({"damage": ["missing", "gray"]}, "Did you mean 'grey'"), ({"heads": []}, "at least one head"),
    ({"heads": ["jigsaw"], "damage": ["missing"]}, r"needs the damage 'shuffle'. Received: \('mi"),
    ({"heads": ["inpaint"]}, "Did you mean 'inpainting'"), ({"tile": 6, "cell": 8}, "tile=6"),
    ({"weights": {"jigsw": 2}}, "Did you mean 'jigsaw'"), ({"cell": 10}, r"16 \+ -6"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_preview_shows_the_damage_and_the_answers(rng):
    task = small()
    draws = drawn(task, rng)
    row, = task.preview([rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)], draws)
    gone = int(draws[0, -2] * 9)
    assert [title.split(":")[0] for title, _ in row[2:]] == ["missing", "colours"]
    assert row[2][0] == f"missing: {gone}" and row[2][1].shape == (16, 16, 3)
    assert all(picture.dtype == np.uint8 for _, picture in row)
    assert (row[1][1] == row[1][1][..., :1]).all() and (row[0][1] != row[0][1][..., :1]).any()


def test_one_channel_is_shown_in_the_place_of_the_lightness(rng):
    task = tasks.get("damaged_jigsaw", tile=16, cell=19, permutations=4, one_channel=True)
    assert tasks.get("damaged_jigsaw", **task.get_config()) == task
    size = task.image_size
    pictures = np.broadcast_to(np.array([200, 20, 90], "uint8"), (60, size, size, 3))
    draws = rng.random((60, task.num_draws), dtype="float32")
    inputs, labels = task.layer().framed(pictures, draws)
    tiles, missing = np.asarray(inputs["tiles"]), np.asarray(inputs["missing"])
    for shown, gone in zip(tiles, missing, strict=True):
        seen = np.delete(shown, gone, 0)
        assert (seen == seen.flat[0]).all() and seen.flat[0] in (200, 20, 90)
    assert len({int(t[(m + 1) % 9, 0, 0, 0]) for t, m in zip(tiles, missing, strict=True)}) == 3
    colored = np.asarray(labels["colorization"])
    assert (colored[colored >= 0] == colored.max()).all()  # the colours of the whole picture
