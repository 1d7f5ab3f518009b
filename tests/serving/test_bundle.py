"""A bundle for TF Serving: its files, its warm-up requests, what it refuses."""

import json
import re
import subprocess

import numpy as np
import pytest

from keras_pretext import cli
from keras_pretext.serving import messages, serve_bundle
from keras_pretext.serving.bundle import CONTRACT, WARMUP, _best_tap, labels


def test_it_holds_what_the_server_takes(bundle):
    assert sorted(p.name for p in bundle.iterdir()) == [
        "README.md", "batching.config", "docker-compose.yml", "models.config",
        "monitoring.config", "tiny"]
    assert sorted(p.name for p in (bundle / "tiny").iterdir()) == ["1", "2"]
    for version in ("1", "2"):
        files = {p.relative_to(bundle / "tiny" / version).as_posix()
                 for p in (bundle / "tiny" / version).rglob("*") if p.is_file()}
        assert {"saved_model.pb", "variables/variables.index", WARMUP, CONTRACT} <= files
    assert (bundle / "models.config").read_text() == f"""model_config_list {{
  config {{
    name: "tiny"
    base_path: "{bundle}/tiny"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: "canary" value: 2 }}
    version_labels {{ key: "stable" value: 1 }}
  }}
}}
"""
    batching = (bundle / "batching.config").read_text()
    assert re.findall(r"allowed_batch_sizes: (\d+)", batching) == ["1", "2", "4"]
    assert "max_batch_size { value: 4 }" in batching
    assert "enable: true" in (bundle / "monitoring.config").read_text()
    compose = (bundle / "docker-compose.yml").read_text()
    assert f"--model_config_file={bundle}/models.config" in compose
    assert f"- .:{bundle}:ro" in compose
    assert "127.0.0.1:8501:8501" in compose


def test_the_config_files_are_the_text_of_the_servers_protos(bundle):
    """Parsed with the field names and types of TF Serving's own .proto files."""
    from google.protobuf import text_format

    schema = {"Int64": {"value": (1, "int64")},
              "Prometheus": {"enable": (1, "bool"), "path": (2, "string")},
              "Monitoring": {"prometheus_config": (1, "Prometheus")},
              "Batching": {"max_batch_size": (1, "Int64"), "batch_timeout_micros": (2, "Int64"),
                           "max_enqueued_batches": (3, "Int64"), "num_batch_threads": (4, "Int64"),
                           "allowed_batch_sizes": (6, "int64*")},
              "Specific": {"versions": (1, "int64*")}, "Policy": {"specific": (102, "Specific")},
              "Label": {"key": (1, "string"), "value": (2, "int64")},
              "Model": {"name": (1, "string"), "base_path": (2, "string"),
                        "model_platform": (4, "string"), "model_version_policy": (7, "Policy"),
                        "version_labels": (8, "Label*")},
              "Models": {"config": (1, "Model*")},
              "Server": {"model_config_list": (1, "Models")}}
    classes = messages.build(schema)
    server = text_format.Parse((bundle / "models.config").read_text(), classes["Server"]())
    model, = server.model_config_list.config
    assert [*model.model_version_policy.specific.versions] == [1, 2]
    batching = text_format.Parse((bundle / "batching.config").read_text(), classes["Batching"]())
    assert [*batching.allowed_batch_sizes] == [1, 2, 4]
    assert batching.allowed_batch_sizes[-1] == batching.max_batch_size.value
    monitoring = text_format.Parse((bundle / "monitoring.config").read_text(),
                                   classes["Monitoring"]())
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_labels():
    assert labels([3]) == {"stable": 3}
    assert labels([1, 10, 2]) == {"canary": 10, "stable": 2}


def test_warm_up_asks_each_signature_at_each_batch_size(bundle):
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    served = tf.saved_model.load(str(bundle / "tiny" / "1")).signatures
    asked = set()
    for record in tf.data.TFRecordDataset(str(bundle / "tiny" / "1" / WARMUP)):
        log = messages.classes()["PredictionLog"].FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "tiny"
        signature = request.model_spec.signature_name
        (name, tensor), = request.inputs.items()
        value = tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensor.SerializeToString()))
        answer = served[signature](**{name: tf.constant(value)})
        assert all(v.shape[0] == len(value) for v in answer.values())
        if "valid" in answer:
            assert answer["valid"].numpy().all()
        asked.add((signature, len(value)))
    assert asked == {(s, b) for s in served if not s.startswith("__") for b in (1, 2, 4)}
    assert {s for s, _ in asked} == {"serving_default", "images", "features", "embedding",
                                     "embedding_float32", "metadata"}


def test_answers_are_the_models_and_the_tap_is_the_cards_best(bundle, models, pictures):
    import tensorflow as tf

    for version, (model, _) in models.items():
        folder = bundle / "tiny" / str(version)
        served = tf.saved_model.load(str(folder)).signatures
        maps = model.backbone(np.stack(pictures), training=False)
        expected = {k: np.asarray(v).mean((1, 2)) for k, v in maps.items()}
        found = served["serving_default"](bytes=tf.stack([*map(tf.io.encode_png, pictures)]))
        for tap, value in expected.items():
            np.testing.assert_allclose(found[tap], value, atol=1e-5 * np.abs(value).max())
        contract = json.loads((folder / CONTRACT).read_text())
        assert contract["name"] == f"tiny@{version}"
        # version 2 was probed: block2 was better only with random weights
        assert contract["embedding"]["tap"] == {1: "block2", 2: "block1"}[version]


def test_only_the_entrys_own_probes_on_the_first_data_choose_the_tap():
    def row(weights, test, protocol="zhang2016-linear", **taps):
        return {"protocol": protocol, "settings": {"weights_from": weights, "test": test},
                "taps": {tap: {"last_mean": mean} for tap, mean in taps.items()}}

    card = {"name": "tiny", "metrics": [
        row("supervised", "b/test", block1=0.1, block2=0.99),
        row("this entry", "a/test", "gidaris2018-nonlinear", block2=0.9),
        row("tiny@1", "a/test", block1=0.2, block2=0.1),
        row("other", "a/test", block1=0.1, block2=0.5),
        row("random", "a/test", block2=0.6),
        row("this entry", "b/test", block1=0.1, block2=0.8)]}
    assert _best_tap(card) == "block1"
    card["metrics"].append(row("this entry", "a/test", "gidaris2018-linear", block2=0.3))
    assert _best_tap(card) == "block2"
    assert _best_tap({"name": "tiny", "metrics": card["metrics"][:2]}) is None
    assert _best_tap({"name": "tiny", "metrics": None}) is None


def test_what_is_refused(bundle, models, tmp_path):
    (_, first), _ = models.values()
    full = tmp_path / "full"
    full.mkdir()
    for arguments, options, words in (
            ((first, bundle), {}, "not there yet"), ((first, full), {}, "not there yet"),
            (([], tmp_path / "x"), {}, "at least one model"),
            (([first, first], tmp_path / "x"), {}, "named once.*tiny@1 twice"),
            (("no_such_model", tmp_path / "x"), {}, "zoo model"),
            ((first, tmp_path / "x"), {"base": "models"}, "absolute path.*'models'"),
            ((first, tmp_path / "x"), {"batch_sizes": (4, 2)}, r"ascend. Received: \[4, 2\]"),
            ((first, tmp_path / "x"), {"batch_sizes": ()}, "ascend"),
            ((first, tmp_path / "x"), {"tap": "block7"}, "tap of network_in_network.*block7")):
        with pytest.raises(ValueError, match=words):
            serve_bundle(*arguments, **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full"]
    assert not [*full.iterdir()]


def test_a_bundle_that_answers_otherwise_gets_no_name(models, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_pretext.serving.signatures.export", lambda *_: {})
    monkeypatch.setattr("keras_pretext.serving.signatures.ask", lambda folder, images: {
        "images": {"block1": np.zeros((2, 96)), "block2": np.zeros((2, 192))}})
    with pytest.raises(ValueError, match="another answer by images"):
        serve_bundle(models[1][1], tmp_path / "bundle", batch_sizes=(1,))
    assert tmp_path.exists() and not [*tmp_path.iterdir()]


def test_the_command(models, tmp_path, capsys):
    mean, matrix = np.zeros(96, "float32"), np.eye(96, 5, dtype="float32")
    np.savez(tmp_path / "white.npz", mean=mean, matrix=matrix)
    out = tmp_path / "bundle"
    command = ["serve-bundle", str(models[2][1]), "--out", str(out), "--batch-sizes", "1",
               "--tap", "block1", "--whiten", str(tmp_path / "white.npz")]
    assert cli.main(command) == 0
    contract = json.loads((out / "tiny/2" / CONTRACT).read_text())
    assert contract["embedding"]["channels"] == 5
    assert 'base_path: "/models/tiny"' in (out / "models.config").read_text()
    # the README's lines for a server without Docker, as they stand
    page = (out / "README.md").read_text()
    lines, = re.findall(r"(mkdir -p local.*?)tensorflow_model_server", page, re.S)
    subprocess.run(["bash", "-ec", lines], cwd=out, check=True)
    assert f'base_path: "{out}/tiny"' in (out / "local/models.config").read_text()
    capsys.readouterr()
    assert cli.main(command) == 2
    assert "not there yet" in capsys.readouterr().err
    np.savez(tmp_path / "other.npz", mean=mean)
    assert cli.main([*command[:-1], str(tmp_path / "other.npz")]) == 2
    assert "with mean and matrix. Received: ['mean']" in capsys.readouterr().err
