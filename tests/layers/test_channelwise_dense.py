import keras
import numpy as np
import pytest

from keras_pretext.layers.channelwise_dense import ChannelwiseDense
from keras_pretext.layers.resample import Resample


def test_every_map_meets_its_own_matrix(rng):
    layer = ChannelwiseDense()
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    found = np.asarray(layer(x))
    kernel = np.asarray(layer.kernel)
    assert kernel.shape == (5, 12, 12)
    for channel in range(5):
        expected = x[..., channel].reshape(2, 12) @ kernel[channel]
        np.testing.assert_allclose(found[..., channel].reshape(2, 12), expected, atol=1e-5)


def test_the_papers_number_of_weights_and_the_size_of_what_goes_through(rng):
    layer = ChannelwiseDense()
    found = np.asarray(layer(rng.normal(size=(8, 6, 6, 256)).astype("float32")))
    assert layer.count_params() == 256 * 6**4 == 331_776
    assert found.std() == pytest.approx(1, abs=0.05)


def test_one_channel_never_reaches_another(rng):
    layer = ChannelwiseDense()
    x = rng.normal(size=(1, 4, 4, 3)).astype("float32")
    before = np.asarray(layer(x))
    x[..., 1] += 1
    after = np.asarray(layer(x))
    np.testing.assert_array_equal(before[..., [0, 2]], after[..., [0, 2]])
    assert (before[..., 1] != after[..., 1]).all()


def test_a_map_of_unknown_size_is_refused():
    with pytest.raises(ValueError, match=r"must be known. Received: shape \(None, None, None, 3\)"):
        ChannelwiseDense()(keras.Input((None, None, 3)))


def test_resampled_maps_and_configs(rng):
    x = rng.normal(size=(2, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(Resample(3)(x).shape, (2, 3, 3, 3))
    np.testing.assert_allclose(Resample(6)(x), x, atol=1e-5)
    ramp = np.broadcast_to(np.arange(8, dtype="float32")[None, :, None, None], (1, 8, 8, 1))
    np.testing.assert_allclose(np.asarray(Resample(16)(ramp))[0, 1:-1, 0, 0],
                               np.linspace(0.25, 6.75, 14), atol=1e-5)
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, Resample(9)(ChannelwiseDense()(inputs)))
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(x), again(x))
    assert model.output_shape == (None, 9, 9, 3)
