import os
import time
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import backbones, cli, demo
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.probe import run_probe
from keras_pretext.training import Recipe, precision
from keras_pretext.training.checkpoint import write_json
from keras_pretext.training.trainer import Trainer


@pytest.fixture
def emulates(monkeypatch):
    """Says what the machine is to be taken for."""
    def set_to(answer):
        monkeypatch.setattr(precision, "emulates_bfloat16", lambda: answer)
    return set_to


@pytest.mark.parametrize("slow", [True, False])
def test_emulation_is_what_makes_a_gradient_many_times_slower(monkeypatch, slow):
    def gradient(filter, **_):
        time.sleep(0.02 if slow and filter.dtype == "bfloat16" else 0.001)
        return tf.zeros(1)

    monkeypatch.setattr(tf.raw_ops, "Conv2DBackpropInput", gradient)
    assert precision.emulates_bfloat16.__wrapped__() is slow


def test_it_is_measured_once_and_where_it_cannot_be_it_is_trusted(monkeypatch):
    asked = []

    def gradient(**_):
        asked.append(1)
        raise tf.errors.UnimplementedError(None, None, "no such kernel")

    monkeypatch.setattr(tf.raw_ops, "Conv2DBackpropInput", gradient)
    precision.emulates_bfloat16.cache_clear()
    try:
        assert not precision.emulates_bfloat16() and not precision.emulates_bfloat16()
        assert len(asked) == 1
    finally:
        precision.emulates_bfloat16.cache_clear()


def test_what_is_quicker_here(emulates):
    emulates(True)
    assert precision.quicker() == "float32" == precision.quicker("float32")
    assert "--set precision=float32" in precision.advice("mixed_bfloat16")
    assert precision.advice("float32") is None
    emulates(False)
    assert precision.quicker() == "mixed_bfloat16" and precision.advice("mixed_bfloat16") is None


@pytest.mark.parametrize("slow", [True, False])
def test_profile_says_so_too(tmp_path, npz, monkeypatch, capsys, emulates, slow):
    emulates(slow)
    path = tmp_path / "tiny.py"
    path.write_text(f"""from keras_pretext.training import Recipe
recipe = Recipe(name="tiny", task=("rotation", {{"image_size": 8}}), data="npz:{npz}",
                backbone=("exemplar_cnn", {{"network": "64c5-64c5-128f", "image_size": 8}}),
                test_split=None, batch_size=2, epochs=1, precision="mixed_bfloat16")""")
    monkeypatch.setattr("keras_pretext.training.profiling.profile",
                        lambda *_: {"model": 2.0, "whole": 1.0})
    assert cli.main(["profile", str(path)]) == 0
    assert ("--set precision=float32" in capsys.readouterr().out) == slow


@pytest.mark.parametrize(("slow", "policy"), [(True, "float32"), (False, "mixed_bfloat16")])
def test_heads_are_trained_in_what_is_quick(emulates, rng, slow, policy):
    emulates(slow)
    seen = []
    source = ArraySource(rng.integers(0, 256, (20, 8, 8, 3)).astype("uint8"), np.arange(20) % 2)
    backbone = backbones.get("exemplar_cnn", network="64c5-64c5-128f", image_size=8)

    def head(shape, classes, seed, name):
        seen.append(keras.config.dtype_policy().name)
        return keras.Sequential([keras.Input(shape), keras.layers.Flatten(),
                                 keras.layers.Dense(classes, dtype="float32")], name=name)

    result = run_probe("p", head, backbone, source, source, "conv2", seeds=(0,), epochs=1,
                       batch_size=10, cache=False)
    assert seen == [policy] and result.settings["dtype"] == policy


@pytest.mark.parametrize(("policy", "slow", "warned"), [
    ("mixed_bfloat16", True, True), ("mixed_bfloat16", False, False), ("float32", True, False)])
def test_a_run_that_would_crawl_says_so_once(npz, tmp_path, capsys, emulates, policy, slow,
                                             warned):
    emulates(slow)
    recipe = Recipe(name="tiny", task=("rotation", {"image_size": 8}),
                    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 8}),
                    data=f"npz:{npz}", test_split=None, batch_size=2, epochs=1,
                    precision=policy)
    Trainer(recipe, tmp_path / "run", max_steps=2).run()
    assert capsys.readouterr().err.count("--set precision=float32") == warned
    Trainer(recipe, tmp_path / "run", max_steps=1, progress=False).run()
    assert not capsys.readouterr().err


def test_the_demo_trains_in_what_is_quick(tmp_path, monkeypatch, emulates):
    class Trained(Exception):
        pass

    def train(recipe, out):
        raise Trained(recipe.precision)

    monkeypatch.setattr(demo, "train", train)
    for slow, policy in ((True, "float32"), (False, "mixed_bfloat16")):
        emulates(slow)
        with pytest.raises(Trained, match=f"^{policy}$"):
            demo.demo(tmp_path)
    emulates(True)
    write_json(tmp_path / "recipe.json", demo.RECIPE.to_dict())
    with pytest.raises(Trained, match="^mixed_bfloat16$"):  # it goes on as it was begun
        demo.demo(tmp_path)


@pytest.mark.parametrize(("machine", "chosen", "found"), [
    ("x86_64", None, "1"), ("x86_64", "0", "0"), ("aarch64", None, None)])
def test_the_demo_asks_for_onednn_unless_somebody_has_chosen(monkeypatch, machine, chosen, found):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if chosen:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", chosen)
    monkeypatch.setattr("platform.machine", lambda: machine)
    seen = []
    monkeypatch.setattr(demo, "demo",
                        lambda out: seen.append(os.environ.get("TF_ENABLE_ONEDNN_OPTS")))
    with mock.patch.dict(os.environ):
        assert not cli.main(["demo"])
    assert seen == [found]
