import time

import keras
import pytest
import tensorflow as tf

from keras_pretext import demo
from keras_pretext.training import Recipe, precision
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


def test_it_is_measured_in_a_second_and_once():
    start = time.perf_counter()
    answer = precision.emulates_bfloat16()
    assert precision.emulates_bfloat16() is answer and time.perf_counter() - start < 10


def test_what_is_quicker_here(emulates):
    emulates(True)
    assert precision.quicker() == "float32" == precision.quicker("float32")
    with precision.precision():
        assert keras.config.dtype_policy().name == "float32"
    with precision.precision("mixed_bfloat16"):  # what is asked for by name is done
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    emulates(False)
    assert precision.quicker() == "mixed_bfloat16"
    with precision.precision():
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(("policy", "slow", "warned"), [
    ("mixed_bfloat16", True, True), ("mixed_bfloat16", False, False), ("float32", True, False)])
def test_a_run_that_would_crawl_says_so_once(npz, tmp_path, capsys, emulates, policy, slow,
                                             warned):
    emulates(slow)
    recipe = Recipe(name="tiny", task=("rotation", {"image_size": 8}),
                    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 8}),
                    data=f"npz:{npz}", test_split=None, batch_size=2, epochs=1,
                    precision=policy)
    Trainer(recipe, tmp_path / "run", max_steps=1).run()
    assert capsys.readouterr().err.count("--set precision=float32") == warned


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
