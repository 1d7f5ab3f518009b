"""Weights kept on the way, to see later what the features were worth and when."""

import json
import pathlib
import re

import numpy as np

from keras_pretext.training import checkpoint
from keras_pretext.training.runs import load_run


class Snapshots:
    """A callback of `Trainer`: the model's weights at the start and every so many epochs.

    They are in `snapshots/epoch-<epoch>.npz` of the run's folder, with the pretext task's metrics
    on the test split. Gidaris et al. (2018, Figure 5a) keep one every 20 epochs.
    """

    def __init__(self, every=20):
        if every < 1:
            raise ValueError(f"a snapshot is kept every 1 or more epochs. Received: {every}")
        self.every = int(every)

    def on_start(self, trainer):
        if trainer.step == 0:
            self._keep(trainer, 0, {f"test_{k}": v for k, v in trainer.task.chance.items()})

    def on_epoch(self, trainer, row):
        epoch = trainer.step / trainer.steps_per_epoch
        last = trainer.step == trainer.total_steps
        if last or round(epoch) % self.every == 0:
            self._keep(trainer, round(epoch), row)

    def _keep(self, trainer, epoch, row):
        folder = trainer.out / "snapshots"
        folder.mkdir(exist_ok=True)
        arrays = {f"w{k:05d}": np.asarray(w) for k, w in enumerate(trainer.model.get_weights())}
        metrics = {k.removeprefix("test_"): float(v) for k, v in row.items()
                   if k.startswith("test_")}
        arrays["metrics"] = np.frombuffer(json.dumps(metrics).encode(), np.uint8)

        def write(path):
            with open(path, "wb") as file:
                np.savez(file, **arrays)

        checkpoint.write_atomically(folder / f"epoch-{epoch:05d}.npz", write)


def snapshots(run):
    """`[(epoch, path)]` of a run's folder, in order. Raises ValueError where there are none."""
    paths = sorted((pathlib.Path(run) / "snapshots").glob("epoch-*.npz"))
    if not paths:
        raise ValueError("this run has kept no snapshots: train it with `keras-pretext pretrain "
                         f"... --snapshots EPOCHS`. Received: {run}")
    return [(int(re.findall(r"\d+", path.stem)[0]), path) for path in paths]


def load_snapshot(run, path):
    """`(PretextModel, the pretext task's metrics on the test split)` of one snapshot."""
    model = load_run(run)
    with np.load(path, allow_pickle=False) as file:
        values = [file[name] for name in sorted(file.files) if name[0] == "w"]
        metrics = json.loads(file["metrics"].tobytes())
    if [v.shape for v in values] != [tuple(w.shape) for w in model.weights]:
        raise ValueError(f"this snapshot is of another model. Received: {path}")
    model.set_weights(values)
    return model, metrics
