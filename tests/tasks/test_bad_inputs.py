"""What is no good is refused with the numbers in the message; what is merely dull gives no NaN."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones, tasks
from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.pipeline import pipeline
from keras_pretext.tasks import permutations
from keras_pretext.training import Recipe, train

TILES = {"tile": 36, "cell": 42, "permutations": 20, "embedding": 16, "hidden": 16, "puzzles": 2}
SMALL = {
    "relative_patch": {"patch": 36, "gap": 18, "jitter": 2, "hidden": (32, 16)},
    "jigsaw": TILES, "damaged_jigsaw": TILES,
    "counting": {"tile": 36, "counts": 16},
    "noise_targets": {"image_size": 72, "dim": 16},
    "exemplar": {"num_classes": 4, "patch": 36},
    "exemplar_triplet": {"image_size": 36, "dim": 16, "copies": 3}}


def pictures(rng, shape, count=3):
    return rng.integers(0, 256, (count, *shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", SMALL)
def test_pictures_of_one_colour_give_finite_inputs_loss_and_gradients(rng, name):
    task = tasks.get(name, **SMALL[name])
    layer = task.layer()
    model = task.attach(backbones.get("alexnet", flavour="cfn", fc_units=(),
                                      image_size=72 if name == "noise_targets" else 36))
    colors = np.array([(0, 0, 0), (128, 128, 128), (255, 255, 255), (255, 0, 0)], "uint8")
    every = np.broadcast_to(colors[:, None, None], (4, 80, 90, 3))
    mixed = np.concatenate([every[:2], pictures(rng, (80, 90), 2)])
    for images in (every, every[:1].repeat(4, 0), mixed):
        inputs, labels = layer(tf.constant(images), tf.constant(
            rng.random((4, layer.num_draws), dtype="float32")))
        if name == "noise_targets":
            labels = tf.constant(np.eye(16, dtype="float32")[:4])
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=inputs, y=labels, y_pred=model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        for value in keras.tree.flatten((inputs, labels, loss, gradients)):
            assert np.isfinite(np.asarray(value, "float64")).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_picture_of_another_size_is_not_taken_for_a_framed_one(rng, name):
    task = tasks.get(name, **SMALL[name])
    layer, size = task.layer(), task.framing.size
    draws = rng.random((task.num_draws,), dtype="float32")
    layer.framed(pictures(rng, (size, size), 1)[0], draws)
    for shape in ((20, 20), (size, size - 1), (size + 40, size + 40)):
        with pytest.raises(ValueError, match=f"{size}x{size} pixels.*Received: shape .*{shape[0]}"):
            layer.framed(pictures(rng, shape, 1)[0], draws)


@pytest.mark.parametrize("name", ["jigsaw", "damaged_jigsaw"])
def test_pictures_smaller_than_the_grid(rng, name):
    layer = tasks.get(name, **SMALL[name]).layer()
    with pytest.raises(ValueError, match="3 cells.* need 3 pixels or more. Received.* 2x5"):
        layer(pictures(rng, (2, 5), 1)[0], rng.random((layer.num_draws,), dtype="float32"))
    with pytest.raises(ValueError, match="need 3 pixels or more. Received.* 2x2"):
        pipeline(ArraySource(pictures(rng, (2, 2), 8)), layer, 4, 0)


@pytest.mark.parametrize("name, options, message", [
    ("jigsaw", {"framing": {"kind": "grid_crop", "size": 224, "cells": 3}},
     "multiple of cells. Received: size=224, cells=3"),
    ("jigsaw", {"framing": {"kind": "centre_crop", "size": 224}},
     r"3 \* 75 = 225 pixels. Received: 224"),
    ("jigsaw", {"cell": 60}, r"85 = 64 \+ 21. Received: cell 60 = tile 64 \+ -4"),
    ("jigsaw", {"cell": 85, "shift": 22}, r"85 - 64 = 21. Received: shift=22"),
    ("damaged_jigsaw", {"framing": {"kind": "centre_crop", "size": 224}},
     r"3 \* 75 = 225 pixels. Received: 224"),
    ("relative_patch", {"framing": {"kind": "centre_crop", "size": 255}},
     "3 patches of 96, gaps of 48 and a jitter of 7 on both sides need 398 pixels. Received: 255"),
    ("relative_patch", {"gap": 14}, r"Received: 2 \* 7 >= 14"),
    ("counting", {"framing": {"kind": "centre_crop", "size": 227}},
     "two tiles of 114 pixels, 228. Received: 227"),
])
def test_grids_that_do_not_divide(name, options, message):
    with pytest.raises(ValueError, match=message):
        tasks.get(name, **options)


@pytest.mark.parametrize("name", ["jigsaw", "damaged_jigsaw"])
def test_files_of_permutations(tmp_path, name):
    path, table = tmp_path / "set.npy", permutations.permutation_set(10)
    right = permutations.fingerprint(table)
    np.save(path, table)
    options = {**SMALL[name], "permutations": str(path), "permutations_sha256": right}
    assert len(tasks.get(name, **options).table) == 10
    np.save(path, table[::-1])
    with pytest.raises(ValueError, match=f"SHA-256 .* and {right} was asked for.*Received: 10"):
        tasks.get(name, **options)
    np.save(path, np.vstack([table, [[0, 1, 2, 3, 4, 5, 6, 7, 7]]]))
    with pytest.raises(ValueError, match=r"each of 0 to 8 once.*7, 7\] in row 10"):
        tasks.get(name, **options)


def test_fewer_pictures_than_surrogate_classes(rng, tmp_path):
    np.savez(tmp_path / "set.npz", images=pictures(rng, (40, 40), 6))
    recipe = Recipe(name="few", task=("exemplar", {"num_classes": 8, "patch": 16}),
                    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16}),
                    data=f"npz:{tmp_path / 'set.npz'}", test_split=None, epochs=1, batch_size=4)
    with pytest.raises(ValueError, match="8 surrogate classes need as many pictures, and there "
                                         "are 6. Use num_classes=6 or fewer.*num_classes=8"):
        train(recipe, tmp_path / "run", progress=False)
