"""The same recipe where TensorFlow is hidden and Keras runs on JAX."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("jax")

_SCRIPT = """
import importlib.abc, importlib.util, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets"):
            raise ModuleNotFoundError(f"No module named {name!r} (hidden)", name=name)

sys.meta_path.insert(0, Hidden())
import numpy as np
from keras_pretext import data
from keras_pretext.training import Recipe, evaluate, train, load_run
from keras_pretext.training.pretext_metrics import compiled
from keras_pretext.training.trainer import accelerators
npz, out, steps = sys.argv[1:4]
network = ("resnet", {"depth": 11, "blocks": 2, "flavour": "cifar"})
recipe = Recipe(name="arrays", task="rotation", backbone=network,
                data="npz:" + npz, test_split=None, epochs=2, batch_size=16, learning_rate=0.02,
                checkpoint_steps=2)
row = train(recipe, out, progress=False, max_steps=int(steps) or None)
if not int(steps):
    model = load_run(out)
    images = np.load(npz)["images"][:4]
    x = np.stack([np.rot90(images, k, (1, 2)) for k in range(4)], 1)
    found = [(evaluate(model, data.open("npz:" + npz), 20, 40), model._test_layer[1]) for _ in "ab"]
    assert found[0] == found[1]  # by the same layer, which was compiled once
    assert compiled(found[0][1])._cache_size() == 1
    assert accelerators() == {}  # the CPU is none
    np.savez(out + "/answer.npz", x=x, y=np.asarray(model(x)), loss=row["loss"],
             evaluated=[found[0][0][k] for k in ("loss", "accuracy")],
             w=np.concatenate([np.asarray(w).ravel() for w in model.weights]))
assert "tensorflow" not in sys.modules
"""


def test_a_recipe_trains_on_jax_and_its_weights_load_on_tensorflow(tmp_path, npz):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(_SCRIPT))
    environment = {**os.environ, "KERAS_BACKEND": "jax"}

    def run(out, steps):
        subprocess.run([sys.executable, script, npz, tmp_path / out, str(steps)], check=True,
                       env=environment, timeout=900)

    run("whole", 0)
    run("parts", 5)
    run("parts", 0)
    whole, parts = (np.load(tmp_path / p / "answer.npz") for p in ("whole", "parts"))
    np.testing.assert_array_equal(whole["w"], parts["w"])  # resume is exact here too
    assert whole["loss"] < 1.386

    from keras_pretext import data
    from keras_pretext.training import evaluate, load_run

    model = load_run(tmp_path / "whole")
    ours = np.asarray(model(whole["x"]))
    here = evaluate(model, data.open(f"npz:{npz}"), 20, 40)
    np.testing.assert_allclose([here["loss"], here["accuracy"]], whole["evaluated"], rtol=1e-3)
    np.testing.assert_allclose(ours, whole["y"], atol=2e-4, rtol=1e-3)


_EPOCHS = """
import json, sys, threading
import numpy as np
from keras_pretext.training import Recipe, Trainer
from keras_pretext.training.schedules import OneCycle
npz, out = sys.argv[1:]
recipe = Recipe(name="arrays", task=("rotation", {"image_size": 16}),
                backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16}),
                data="npz:" + npz, test_split=None, epochs=3, batch_size=24, learning_rate=0.02,
                schedule={"kind": "one_cycle"}, checkpoint_steps=2)

ahead = []  # whether a thread makes the next batches

def fresh_head(trainer, epoch):
    ahead.append(any(thread.name == "batches" for thread in threading.enumerate()))
    if trainer.step % trainer.steps_per_epoch == 0:
        kernel = trainer.model.get_layer("logits").kernel
        found.append(np.asarray(kernel))
        kernel.assign(np.full(kernel.shape, epoch))
        for variable in trainer.model.optimizer.variables:
            if variable.shape == kernel.shape:
                variable.assign(np.zeros(variable.shape))

def run(folder, hook, steps=None):
    trainer = Trainer(recipe, out + folder, progress=False, max_steps=steps)
    setattr(trainer.task, hook, fresh_head)
    trainer.run()
    return [np.asarray(w) for w in trainer.model.weights], trainer

for hook in ("on_epoch_start", "before_stream"):
    found = []
    whole, trainer = run("/" + hook, hook)
    found.append(np.asarray(trainer.model.get_layer("logits").kernel))
    for epoch, kernel in enumerate(found[1:]):  # the new head is what was trained
        assert abs(kernel.mean() - epoch) < 0.1 and kernel.std() > 0, (hook, epoch, kernel)
rows = map(json.loads, open(out + "/before_stream/metrics.jsonl"))
rates = {row["step"]: row["learning_rate"] for row in rows if "learning_rate" in row}
for step in (4, 8, 12):  # of the step that the row is of
    assert abs(rates[step] - float(OneCycle(0.02, 12)(step))) < 1e-7, rates
assert any(ahead)
for steps in (6, None, None):  # the last: a finished run is left as it is
    parts, _ = run("/parts", "on_epoch_start", steps)
for a, b in zip(run("/on_epoch_start", "on_epoch_start")[0], parts, strict=True):
    np.testing.assert_array_equal(a, b)
"""


def test_what_a_task_changes_before_an_epoch_is_what_jax_trains(tmp_path, npz):
    done = subprocess.run([sys.executable, "-c", _EPOCHS, npz, tmp_path], text=True, timeout=900,
                          env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
