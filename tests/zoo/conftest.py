"""A published entry of a tiny untrained network, made once, copied for tests that damage it."""

import shutil

import numpy as np
import pytest


def tiny_model(seed=0, **task):
    import keras

    from keras_pretext import backbones, tasks

    keras.utils.set_random_seed(seed)
    model = tasks.get("rotation", **task).attach(backbones.get("network_in_network", blocks=3))
    rng = np.random.default_rng(seed)  # no statistic keeps the value it was built with
    for weight in model.weights:
        name = weight.path.rsplit("/", 1)[-1]
        if name in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
        elif name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


@pytest.fixture
def make_model():
    return tiny_model


@pytest.fixture(scope="session")
def model():
    return tiny_model()


@pytest.fixture(scope="session")
def published(model, tmp_path_factory):
    """The folder of version 1 of the entry "tiny_rotnet", in a zoo of its own."""
    from keras_pretext import zoo

    return zoo.publish(model, "tiny_rotnet", root=tmp_path_factory.mktemp("zoo"),
                       card={"licence": "CC0", "limits": "untrained"})


@pytest.fixture
def entry(published, tmp_path, monkeypatch):
    """A copy of it that a test may damage, with $KERAS_PRETEXT_ZOO leading to it."""
    folder = tmp_path / "zoo" / "tiny_rotnet" / "1"
    shutil.copytree(published, folder)
    monkeypatch.setenv("KERAS_PRETEXT_ZOO", str(tmp_path / "zoo"))
    return folder
