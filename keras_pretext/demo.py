"""The whole way on the embedded scenes: pretrain, read back from disk, probe, draw."""

import json
import pathlib
import time

import keras
import numpy as np

from keras_pretext import data, evaluation
from keras_pretext.data.draws import draws
from keras_pretext.training import Recipe, load_recipe, load_run, train
from keras_pretext.training.checkpoint import write_json
from keras_pretext.training.precision import quicker
from keras_pretext.visualize import puzzle_sheet

# half as long as recipes/smoke/rotnet_nin_scenes.py, which an installed wheel does not hold
RECIPE = Recipe(
    name="rotnet_nin_scenes",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 3}),
    data="scenes",
    epochs=1,
    batch_size=32,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    test_images=500,
)
TAP = "block2"


def demo(out, recipe=RECIPE, probe_epochs=5):
    """Runs the demo in the folder `out` and prints what it finds; a finished run is not repeated.

    In float32 where bfloat16 would be far slower.

    Returns:
        dict with `rotation_accuracy`, and the linear probe's accuracy of the `trained` and the
        `random` network; also written to `out/demo.json`, with the picture `out/puzzles.png`.
    """
    start, out = time.time(), pathlib.Path(out)
    finished = out / "final" / "metrics.json"
    print("1. RotNet learns from unlabelled scenes by how much they were rotated", flush=True)
    if not finished.exists():
        kept = out / "recipe.json"
        policy = load_recipe(kept).precision if kept.exists() else quicker(recipe.precision)
        train(recipe.replace(precision=policy), out)
    model = load_run(out)
    scores = {"rotation_accuracy": json.loads(finished.read_text())["test_accuracy"]}
    print(f"   rotation accuracy {scores['rotation_accuracy']:.1%}, "
          f"chance {model.task.chance['accuracy']:.0%}")

    source, test = data.open("scenes"), data.open("scenes", "test")
    puzzles = model.task.preview(source.arrays(4)[0],
                                 draws(0, 0, np.arange(4), model.task.num_draws))
    puzzle_sheet(puzzles).save(out / "puzzles.png")

    print(f"2. The {len(source.class_names)} classes from its frozen features ({TAP}), and from "
          "those of random weights", flush=True)
    keras.utils.set_random_seed(0)
    untrained = type(model.backbone).from_config(model.backbone.get_config())
    for name, network in (("trained", model), ("random", untrained)):
        probe = evaluation.linear(network, source, test, TAP, seeds=(0,), epochs=probe_epochs,
                                  image_size=model.task.image_size, flip=False)
        scores[name] = probe.mean(TAP)
        print(f"   linear probe, {name:8} {scores[name]:.1%}", flush=True)
    write_json(out / "demo.json", scores)
    print(f"Puzzles: {out}/puzzles.png. Model: {out}/final. {time.time() - start:.0f} s.")
    return scores
