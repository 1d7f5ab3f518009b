import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pretext.layers.grouped_conv import GroupedConv2D


@pytest.mark.parametrize("options", [
    {"groups": 2, "strides": 2}, {"groups": 4, "padding": "same"},
    {"groups": 2, "dilation_rate": 2, "use_bias": False, "activation": "relu"}, {"groups": 1}])
def test_values_and_gradients_are_those_of_keras(rng, as_keras, options):
    as_keras(GroupedConv2D(8, 3, **options), keras.layers.Conv2D(8, 3, **options),
             tf.constant(rng.normal(size=(3, 9, 11, 4)).astype("float32")))


def test_saved_and_loaded_it_answers_the_same(rng, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 4)), GroupedConv2D(6, 3, groups=2)])
    x = rng.normal(size=(2, 6, 6, 4)).astype("float32")
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    assert again.layers[-1].groups == 2
