"""A served model in bfloat16: batch norms in the convolutions, weights as constants."""

import json

import keras
import numpy as np
import pytest

from keras_pretext import backbones, tasks
from keras_pretext.serving import export, folding, serve_bundle
from keras_pretext.serving.bundle import CONTRACT
from keras_pretext.training.precision import precision


def stirred(backbone, rng):
    """Statistics and shifts unlike a fresh network's, so that leaving one out shows."""
    for weight in backbone.weights:
        if weight.path.split("/")[-1] in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.path.split("/")[-1] in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return backbone


@pytest.fixture(params=[("network_in_network", {"blocks": 2}, 32),
                        ("alexnet", {"flavour": "rotnet", "fc_units": (16,), "image_size": 63}, 63),
                        ("alexnet", {"flavour": "colorization", "fc_units": ()}, 63),
                        ("alexnet", {"flavour": "caffenet", "fc_units": ()}, 63)],
                ids=["nin", "rotnet", "colorization", "caffenet"])
def network(request, rng):
    name, options, size = request.param
    images = rng.integers(0, 256, (2, size, size, 3)).astype("uint8")
    return stirred(backbones.get(name, **options), rng), images


def norms(model):
    return sum(isinstance(x, keras.layers.BatchNormalization) for x in model.layers)


def test_folding_changes_no_answer(network):
    backbone, images = network
    before = [np.array(w) for w in backbone.weights]
    served = folding.folded(backbone)
    assert norms(served) == 0
    expected, found = backbone(images, training=False), served(images, training=False)
    assert expected.keys() == found.keys()
    for tap, value in expected.items():
        value = np.asarray(value)
        np.testing.assert_allclose(found[tap], value, atol=1e-5 * np.abs(value).max(), err_msg=tap)
    for old, weight in zip(before, backbone.weights, strict=True):
        np.testing.assert_array_equal(old, weight)


def test_a_batch_norm_that_others_do_not_wait_for_stays(rng):
    """One after a ReLU, one whose convolution is an output: neither is folded."""
    images = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(4, 3, activation="relu")(images)
    second = keras.layers.Conv2D(4, 3)(keras.layers.BatchNormalization()(first))
    third = keras.layers.BatchNormalization()(second)
    model = stirred(keras.Model(images, {"second": second, "third": third}), rng)
    served, x = folding.folded(model), rng.random((2, 8, 8, 3), "float32")
    assert norms(served) == 2
    for tap, value in model(x, training=False).items():
        np.testing.assert_allclose(served(x)[tap], value, atol=1e-5)


def test_a_bfloat16_model_is_served_near_its_float32_features(tmp_path, rng):
    import tensorflow as tf

    images = rng.integers(0, 256, (4, 63, 63, 3)).astype("uint8")
    options = {"flavour": "rotnet", "fc_units": (16,), "image_size": 63}
    exact = stirred(backbones.get("alexnet", **options), rng)
    with precision("mixed_bfloat16"):
        small = backbones.get("alexnet", **options)
        model = tasks.get("rotation", image_size=63).attach(small)
    small.set_weights(exact.get_weights())
    contract = export(model, tmp_path / "served")
    assert contract["computed_in"] == "bfloat16"
    graph = tf.saved_model.load(str(tmp_path / "served"))
    nodes = [
        n.op for signature in graph.signatures.values()
        for f in signature.graph.as_graph_def().library.function for n in f.node_def]
    assert "FusedBatchNormV3" not in nodes and "ReadVariableOp" not in nodes
    for function in graph.signatures["images"].graph.as_graph_def().library.function:
        named = {n.name: n for n in function.node_def}
        for node in (n for n in function.node_def if n.op == "Conv2D"):  # nothing in between, or
            assert named[node.input[1].split(":")[0]].op == "Const"  # it is done at each request
    assert nodes.count("Conv2D") >= 6
    found = graph.signatures["features"](images=tf.constant(images))
    for tap, value in exact(images, training=False).items():
        a, b = np.asarray(value, "float64").ravel(), found[tap].numpy().ravel()
        assert found[tap].dtype == tf.float32
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999, tap
    whole = sum(p.stat().st_size for p in (tmp_path / "served").rglob("*") if p.is_file())
    assert whole < 2.2 * exact.count_params() + 5e5  # two bytes a weight, once


def test_a_bundle_in_bfloat16(models, tmp_path):
    model, folder = models[1]
    out = serve_bundle(folder, tmp_path / "bundle", batch_sizes=(1,), dtype="mixed_bfloat16")
    assert json.loads((out / "tiny" / "1" / CONTRACT).read_text())["computed_in"] == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match="float32, mixed_bfloat16. Received: 'float16'"):
        serve_bundle(folder, tmp_path / "other", dtype="float16")
