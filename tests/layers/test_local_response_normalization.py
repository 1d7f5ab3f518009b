import keras
import numpy as np
import pytest

from keras_pretext.layers.local_response_normalization import LocalResponseNormalization


@pytest.mark.parametrize("size", [3, 5])
def test_against_caffes_formula_at_the_first_and_last_channels_too(size, rng):
    x = (rng.normal(size=(2, 3, 4, 7)) * 30).astype("float32")
    alpha, beta, reach = 0.01, 0.75, size // 2
    expected = np.empty_like(x)
    for c in range(7):
        window = x[..., max(0, c - reach):c + reach + 1].astype("float64")
        expected[..., c] = x[..., c] / (1 + alpha / size * (window**2).sum(-1)) ** beta
    found = LocalResponseNormalization(size, alpha, beta)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_defaults_are_krizhevskys():
    config = LocalResponseNormalization().get_config()
    assert (config["size"], config["alpha"], config["beta"]) == (5, 1e-4, 0.75)


def test_even_sizes_are_refused():
    with pytest.raises(ValueError, match="size is odd. Received: 4"):
        LocalResponseNormalization(4)


def test_bfloat16_in_bfloat16_out(rng):
    layer = LocalResponseNormalization(dtype="mixed_bfloat16")
    x = rng.normal(size=(1, 2, 2, 6)).astype("float32")
    out = layer(keras.ops.cast(x, "bfloat16"))
    assert keras.backend.standardize_dtype(out.dtype) == "bfloat16"
    np.testing.assert_allclose(np.asarray(out, "float32"), x, rtol=0.02)
