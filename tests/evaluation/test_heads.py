"""The three heads: layers and parameters of the papers' code, and that each one learns."""

import sys

import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.evaluation.probe import fan_out

HEADS = {name: sys.modules[f"keras_pretext.evaluation.{name}"]._head
         for name in ("linear", "nonlinear", "conv")}


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


@pytest.mark.parametrize("name, shape, classes, parameters", [
    ("linear", (7, 7, 192), 10, 9408 * 10 + 10),
    ("nonlinear", (8, 8, 192), 10, 12288 * 200 + 2 * 200 + 200 * 200 + 2 * 200 + 200 * 10 + 10),
    ("nonlinear", (2, 2, 4), 1000, 16 * 2048 + 2 * 2048 + 2048**2 + 2 * 2048 + 2048 * 1000 + 1000),
    ("conv", (8, 8, 192), 10,
     9 * 192 * 192 + 2 * 192 + 2 * (192 * 192 + 2 * 192) + 192 * 10 + 10)])
def test_parameters(name, shape, classes, parameters):
    head = HEADS[name](shape, classes, 0, "head")
    assert count(head.trainable_variables) == parameters
    assert head.output_shape == (None, classes)


def test_hidden_layers_have_no_biases_and_bn_no_affine_in_the_linear_head():
    layers = HEADS["nonlinear"]((2, 2, 4), 10, 0, "n").layers
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.use_bias for layer in dense] == [False, False, True]
    (normal, *_) = HEADS["linear"]((2, 2, 4), 10, 0, "l").layers
    assert not normal.center and not normal.scale and normal.epsilon == 1e-5


def test_initial_weights():
    weights = keras.ops.convert_to_numpy(fan_out(0)((3000, 50)))
    assert weights.std() == pytest.approx((2 / 50) ** 0.5, rel=0.02)
    assert abs(weights).max() > 3 * (2 / 50) ** 0.5  # not truncated
    np.testing.assert_array_equal(weights, keras.ops.convert_to_numpy(fan_out(0)((3000, 50))))
    kernels = HEADS["conv"]((8, 8, 192), 10, 0, "c").layers[0].kernel
    assert keras.ops.convert_to_numpy(kernels).std() == pytest.approx((2 / (9 * 192)) ** 0.5,
                                                                      rel=0.02)


def test_seeds_differ_and_repeat():
    first, again, other = (HEADS["nonlinear"]((2, 2, 4), 10, seed, "n").get_weights()
                           for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    assert np.abs(first[0] - other[0]).max() > 0.1
    assert np.abs(first[0][:200, :200].mean() - first[4][:16].mean()) > 0  # not the same numbers


@pytest.mark.parametrize("name", list(HEADS))
def test_learns_easy_classes_in_bfloat16(backbone, train, test, name):
    options = {"learning_rate": 0.05, "epochs": 12} if name == "linear" else {"epochs": 4}
    result = getattr(evaluation, name)(backbone, train, test, ["low", "high"], seeds=(0, 1),
                                       batch_size=20, dtype="mixed_bfloat16", **options)
    assert result.protocol == f"gidaris2018-{name}"
    for tap in ("low", "high"):
        assert result.mean(tap) > 0.9
        assert all(b >= a for a, b in zip(result.taps[tap]["last"], result.taps[tap]["best"],
                                          strict=True))


def test_outputs_are_float32_under_bfloat16():
    from keras_pretext.training.precision import precision

    with precision("mixed_bfloat16"):
        for name, head in HEADS.items():
            model = head((8, 8, 4), 10, 0, name)
            assert model.outputs[0].dtype == "float32"
            assert {v.dtype for v in model.variables} <= {"float32", "uint32"}
