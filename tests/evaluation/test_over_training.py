"""Snapshots of a run, and what a probe makes of each."""

import json

import numpy as np
import pytest

from keras_pretext import cli, data
from keras_pretext.evaluation.over_training import over_training
from keras_pretext.training import Recipe, Trainer, load_run
from keras_pretext.training.pretext_metrics import evaluate
from keras_pretext.training.snapshots import Snapshots, load_snapshot, snapshots


@pytest.fixture
def run(tmp_path, npz):
    """Three epochs, a snapshot every two."""
    recipe = Recipe(name="small", task="rotation", backbone=("network_in_network", {"blocks": 2}),
                    data=f"npz:{npz}", test_split="train", epochs=3, batch_size=32,
                    learning_rate=0.02, deterministic=False)
    Trainer(recipe, tmp_path / "run", callbacks=[Snapshots(2)], progress=False).run()
    return tmp_path / "run"


def test_snapshots_are_kept_probed_and_the_last_is_the_model(run, npz, tmp_path, capsys,
                                                             monkeypatch):
    assert [epoch for epoch, _ in snapshots(run)] == [0, 2, 3]
    path = snapshots(run)[-1][1]
    model, metrics = load_snapshot(run, path)
    for ours, theirs in zip(model.get_weights(), load_run(run).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    source = data.open(npz, "train")
    assert metrics["accuracy"] == pytest.approx(evaluate(model, source)["accuracy"], abs=1e-6)
    early, chance = load_snapshot(run, snapshots(run)[0][1])
    assert chance["accuracy"] == 0.25
    assert any((a != b).any() for a, b in zip(early.get_weights(), model.get_weights(),
                                              strict=True))
    # scores belong to the snapshot's own weights
    digests = []

    def measure(model, train, test, taps, **options):
        from keras_pretext.evaluation import knn
        from keras_pretext.evaluation.features import weights_digest

        digests.append(weights_digest(model.backbone))
        return knn(model, train, test, taps, k=options["k"])

    monkeypatch.setenv("KERAS_PRETEXT_CACHE", str(tmp_path / "cache"))
    rows = over_training(run, data.open(npz), source, "block2", measure, k=5)
    assert len(set(digests)) == 3 and [row["epoch"] for row in rows] == [0, 2, 3]
    assert rows[-1]["pretext"] == metrics and 0 <= rows[0]["object"] <= 1
    out = tmp_path / "curve.json"
    assert cli.main(["curve", str(run), "--data", str(npz), "--tap", "block2", "--protocol",
                     "knn", "--set", "k=5", "--json", str(out), "--test-split", "train"]) == 0
    assert json.loads(out.read_text()) == rows
    assert "epoch     3" in capsys.readouterr().out
    # rescale reads the same folder, and what it writes is read as a run
    folder = tmp_path / "rescaled"
    assert cli.main(["rescale", str(run), "--data", str(npz), "--out", str(folder), "--images",
                     "8"]) == 0
    line = capsys.readouterr().out
    assert float(line.split("last tap ")[1].split(",")[0]) == pytest.approx(1, abs=0.02)
    bare = load_run(folder)
    assert bare.backbone.batch_norm is False and len(bare.backbone.weights) == 12
    assert cli.main(["rescale", str(run), "--data", str(npz), "--out", str(folder)]) == 2
    assert "holds a model already" in capsys.readouterr().err


def test_a_run_without_snapshots_says_so(tmp_path, npz, capsys):
    start = ["curve", str(tmp_path), "--data", str(npz), "--test-split", "train", "--tap", "block1"]
    assert cli.main(start) == 2 and "--snapshots" in capsys.readouterr().err
    whole = tmp_path / "whole.npz"  # without splits
    np.savez(whole, images=np.zeros((4, 8, 8, 3), np.uint8), labels=[0, 1, 0, 1])
    assert cli.main(["curve", str(tmp_path), "--data", str(whole), "--tap", "block1"]) == 2
    assert "nothing is held out" in capsys.readouterr().err
    # what is wrong with the command is said before
    (tmp_path / "a_file").write_text("")
    assert cli.main([*start, "--json", str(tmp_path / "a_file" / "curve.json")]) == 2
    assert "cannot be written there" in capsys.readouterr().err
    assert cli.main([*start, "--set", "epoch=3"]) == 2
    assert "nonlinear has no epoch; its options are" in capsys.readouterr().err
    with pytest.raises(ValueError, match="1 or more epochs. Received: 0"):
        Snapshots(0)
