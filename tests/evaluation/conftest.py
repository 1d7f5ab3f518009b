"""A tiny backbone, easy data, and a cache of features that dies with the test."""

import keras
import numpy as np
import pytest

from keras_pretext.backbones.base import Backbone, normalized
from keras_pretext.data.arrays import ArraySource


@keras.saving.register_keras_serializable(package="tests")
class Tiny(Backbone):
    """Two convolutions with batch normalisation: taps `low` (stride 1) and `high` (stride 2)."""

    def __init__(self, width=4, name="tiny", **kwargs):
        images = keras.Input((None, None, 3), name="images")
        x = normalized(images, (128, 128, 128), (64, 64, 64))
        low = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = keras.layers.Conv2D(2 * width, 3, strides=2, padding="same", use_bias=False)(low)
        high = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        super().__init__(images, {"low": (low, 1), "high": (high, 2)}, name=name, **kwargs)
        self.width = width

    def get_config(self):
        return {"width": self.width, "name": self.name}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_PRETEXT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def backbone():
    """Its batch normalisation has running statistics that differ from any batch's."""
    keras.utils.set_random_seed(0)
    model = Tiny()
    for variable in model.non_trainable_variables:
        if variable.name == "moving_mean":
            variable.assign(np.linspace(-0.4, 0.1, variable.shape[0]))
        if variable.name == "moving_variance":
            variable.assign(np.linspace(0.2, 0.6, variable.shape[0]))
    maps = keras.ops.convert_to_numpy(model(pictures(9, 0).arrays()[0])["high"])
    assert (maps > 0).mean() > 0.3  # a dead map would make every comparison pass
    return model


def pictures(count, seed, size=8, classes=3, noise=25):
    """Class k is brightest in channel k, beside noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.normal(90, noise, (count, size, size, 3))
    images[np.arange(count), :, :, labels] += 40
    return ArraySource(np.clip(images, 0, 255).astype("uint8"), labels, f"easy{seed}",
                       class_names=[f"class{k}" for k in range(classes)])


@pytest.fixture
def train():
    return pictures(120, 1)


@pytest.fixture
def test():
    return pictures(45, 2)


@pytest.fixture
def hard_train():
    """Classes that overlap, so that accuracies lie between chance and 1."""
    return pictures(120, 3, noise=110)


@pytest.fixture
def hard_test():
    return pictures(90, 4, noise=110)
