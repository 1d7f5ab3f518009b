"""The SavedModel: its signatures, in Python, in a process of TensorFlow alone, and in C."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

C_CLIENT = os.path.join(os.path.dirname(__file__), "c_api_client.py")


@pytest.fixture(scope="module")
def model():
    import keras

    from keras_pretext import backbones, tasks

    keras.utils.set_random_seed(0)
    return tasks.get("rotation").attach(backbones.get("network_in_network", blocks=3))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    from keras_pretext.serving import export

    out = tmp_path_factory.mktemp("served") / "saved_model"
    export(model, out)
    return out


@pytest.fixture(scope="module")
def unpacked(model, tmp_path_factory):
    """The same with its weights in an `.npz` among its assets."""
    from keras_pretext.serving import export
    from keras_pretext.zoo import weights

    place = tmp_path_factory.mktemp("unpacked")
    weights.save(place / "weights.npz", model, "float32")
    export(model, place / "saved_model", weights=place / "weights.npz")
    return place / "saved_model"


@pytest.fixture(scope="module")
def signatures(folder):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    yield loaded.signatures
    del loaded


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def picture(rng, height, width):
    """Smooth, so that JPEG and resizing keep it nearly."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + a) + np.cos(y / 7 - a) for a in rng.uniform(0, 6, 3)]
    return (127.5 + 60 * np.stack(waves, -1)).clip(0, 255).astype("uint8")


def pooled(model, images):
    maps = model.backbone(np.asarray(images), training=False)
    return {tap: np.asarray(x).mean((1, 2)) for tap, x in maps.items()}


def close(found, expected, tolerance=1e-5):
    for tap, value in expected.items():
        np.testing.assert_allclose(found[tap], value, atol=tolerance * np.abs(value).max(),
                                   err_msg=tap)


def test_features_are_all_taps_at_any_size(model, signatures, rng):
    for shape in ((2, 32, 32, 3), (1, 45, 70, 3)):
        images = rng.integers(0, 256, shape).astype("uint8")
        found = {k: v.numpy() for k, v in signatures["features"](images=images).items()}
        assert set(found) == {"block1", "block2", "block3"}
        close(found, {k: np.asarray(v) for k, v in model.backbone(images, training=False).items()})
        close({k: v.numpy() for k, v in signatures["images"](images=images).items()},
              pooled(model, images))


def test_bytes_of_mixed_kinds_and_sizes_in_one_batch(model, signatures, rng):
    import tensorflow as tf

    square = picture(rng, 32, 32)
    wide = picture(rng, 32, 50)
    large = picture(rng, 96, 64)
    grey = picture(rng, 32, 32)[..., 0]
    batch = [encoded(square), encoded(wide), encoded(large), encoded(grey),
             encoded(square, "JPEG", quality=95, subsampling=0)]
    found = signatures["serving_default"](bytes=tf.constant(batch))
    # 96x64: the central 64 rows, halved with the antialiasing triangle (1 3 3 1) / 8
    half = large[16:80].astype("float64")
    half = np.pad(half, ((1, 1), (1, 1), (0, 0)), mode="edge")
    weights = np.array([1, 3, 3, 1]) / 8
    rows = sum(w * half[k:k + 64:2] for k, w in enumerate(weights))
    halved = sum(w * rows[:, k:k + 64:2] for k, w in enumerate(weights))
    inner = np.floor(halved + 0.5).astype("uint8")
    jpeg = np.asarray(Image.open(io.BytesIO(batch[4])))
    expected = pooled(model, [square, wide[:, 9:41], inner, np.stack([grey] * 3, -1), jpeg])
    exact = [0, 1, 3]
    close({k: v.numpy()[exact] for k, v in found.items()},
          {k: v[exact] for k, v in expected.items()})
    # the border of a resized picture, and another JPEG decoder's rounding, differ a little
    close({k: v.numpy() for k, v in found.items()}, expected, 0.02)


def test_an_empty_batch_gives_an_empty_answer(signatures):
    import tensorflow as tf

    nothing = {"serving_default": tf.constant([], tf.string),
               "embedding": tf.constant([], tf.string), "metadata": tf.constant([], tf.string),
               "images": tf.zeros((0, 32, 32, 3), tf.uint8),
               "features": tf.zeros((0, 32, 32, 3), tf.uint8)}
    for name, batch in nothing.items():
        argument, = signatures[name].structured_input_signature[1]
        for key, value in signatures[name](**{argument: batch}).items():
            assert value.shape[0] == 0, (name, key)
    assert signatures["serving_default"](bytes=nothing["embedding"])["block2"].shape == (0, 192)


def test_the_embedding_is_one_tap_of_norm_one_in_float16(model, signatures, rng):
    import tensorflow as tf

    images = [picture(rng, 32, 32) for _ in range(3)]
    batch = tf.constant([*map(encoded, images), b"no picture"])
    found = {name: signatures[name](bytes=batch) for name in ("embedding", "embedding_float32")}
    assert found["embedding"]["embedding"].dtype == tf.float16
    vectors = pooled(model, images)["block3"]
    expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.concatenate([expected, np.zeros((1, 192))])
    assert found["embedding"]["valid"].numpy().tolist() == [True] * 3 + [False]
    np.testing.assert_allclose(found["embedding_float32"]["embedding"], expected, atol=1e-5)
    np.testing.assert_allclose(found["embedding"]["embedding"], expected, atol=1e-3)


def test_a_whitened_embedding(model, tmp_path, rng):
    import tensorflow as tf

    from keras_pretext.serving import export, whitening

    images = [picture(rng, 32, 32) for _ in range(12)]
    vectors = pooled(model, images)["block1"]
    mean, matrix = whitening(vectors, 4)
    white = (vectors - mean) @ matrix
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-2)
    contract = export(model, tmp_path / "white", tap="block1", whitening=(mean, matrix),
                      name="tiny")
    served = tf.saved_model.load(str(tmp_path / "white")).signatures
    batch = tf.constant([*map(encoded, images), b"no picture"])
    found = served["embedding_float32"](bytes=batch)["embedding"].numpy()
    np.testing.assert_allclose(found[:12], white / np.linalg.norm(white, axis=1, keepdims=True),
                               atol=1e-3)
    assert not found[12].any()
    assert contract["embedding"] == {"tap": "block1", "pooling": "avg", "whitened": True,
                                     "channels": 4, "norm": 1, "dtype": "float16"}
    assert contract["name"] == "tiny"
    for wrong, words in (((mean[:5], matrix), r"\(96,\) and a matrix \(96, dim\)"),
                         ((mean, matrix.T), r"Received: \(96,\) and \(4, 96\)"),
                         ((mean, matrix * np.nan), "finite")):
        with pytest.raises(ValueError, match=words):
            export(model, tmp_path / "x", tap="block1", whitening=wrong)
    with pytest.raises(ValueError, match="block1.*block9"):
        export(model, tmp_path / "x", tap="block9")
    with pytest.raises(ValueError, match=r"less than n.*Received: \(3, 96\) and 4"):
        whitening(vectors[:3], 4)
    with pytest.raises(ValueError, match="finite"):
        whitening(np.full_like(vectors, np.inf), 4)


def test_metadata_says_the_contract(model, signatures):
    import tensorflow as tf

    answer = signatures["metadata"](ask=tf.constant(["", "?"]))["contract"].numpy()
    contract = json.loads(answer[1])
    assert len(answer) == 2
    assert contract["taps"]["block2"] == {"channels": 192, "stride": 4, "dtype": "float32",
                                          "least": 0}
    assert contract["normalization"]["mean"] == list(model.backbone.mean)
    assert contract["encoded"]["image_size"] == 32
    # what GetModelMetadata shows: names, types and shapes
    outputs = signatures["serving_default"].structured_outputs
    assert {k: (v.dtype.name, v.shape.as_list()) for k, v in outputs.items()} == {
        "block1": ("float32", [None, 96]), "block2": ("float32", [None, 192]),
        "block3": ("float32", [None, 192]), "valid": ("bool", [None])}


def test_a_tap_that_can_be_negative_says_so():
    import keras

    from keras_pretext.serving.signatures import _never_negative

    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(2, 3)(x)
    assert not _never_negative(y)
    for relu in (keras.layers.ReLU()(y), keras.layers.Activation("relu")(y),
                 keras.layers.Conv2D(2, 3, activation="relu")(x)):
        assert _never_negative(keras.layers.AveragePooling2D(2)(relu))
    assert not _never_negative(keras.layers.Activation("tanh")(y))


def test_palette_alpha_cmyk_and_16_bit_pictures_are_served(signatures, rng):
    import tensorflow as tf

    image = Image.fromarray(picture(rng, 40, 40))
    batch = []
    for picture_, kind in ((image.convert("P"), "PNG"), (image.convert("RGBA"), "PNG"),
                           (image.convert("CMYK"), "JPEG"), (image.convert("P"), "GIF"),
                           (Image.fromarray(np.full((40, 40), 30000, "uint16")), "PNG")):
        out = io.BytesIO()
        picture_.save(out, kind)
        batch.append(out.getvalue())
    found = signatures["serving_default"](bytes=tf.constant(batch))["block1"].numpy()
    assert found.shape == (5, 96) and np.isfinite(found).all()


def test_it_holds_no_python_op_each_weight_once_and_no_folder_of_this_host(model, folder):
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = graph.meta_graphs[0].graph_def
    ops = {node.op for node in graph.node}
    ops |= {node.op for function in graph.library.function for node in function.node_def}
    assert {"DecodeImage", "Conv2D"} <= ops
    assert not {op for op in ops if "PyFunc" in op or "Python" in op}
    stored = sum(p.stat().st_size for p in (folder / "variables").iterdir())
    parameters = 4 * model.backbone.count_params()
    assert parameters <= stored < 1.05 * parameters
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__))).encode()
    assert not [p for p in folder.rglob("*") if p.is_file() and here in p.read_bytes()]


def test_unpacked_weights_are_on_disk_once_as_the_zoo_has_them(unpacked):
    assert [p.name for p in (unpacked / "assets").iterdir()] == ["weights.npz"]
    assert sum(p.stat().st_size for p in (unpacked / "variables").iterdir()) < 10_000
    here = [str(place).encode() for place in (unpacked.parent, os.path.dirname(__file__))]
    assert not [p for p in unpacked.rglob("*") if p.is_file() and any(
        place in p.read_bytes() for place in here)]


def test_a_backbone_with_dropout_between_its_taps_is_unpacked(rng, tmp_path):
    import tensorflow as tf

    from keras_pretext import backbones, tasks
    from keras_pretext.serving import export
    from keras_pretext.zoo import weights

    backbone = backbones.get("exemplar_cnn", network="64c5-64c5-128f", dropout=0.5)
    model = tasks.get("exemplar", num_classes=4).attach(backbone)
    weights.save(tmp_path / "weights.npz", model, "float32")
    export(model, tmp_path / "saved", weights=tmp_path / "weights.npz")
    images = rng.integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    close(tf.saved_model.load(str(tmp_path / "saved")).signatures["images"](images=images),
          pooled(model, images))


def test_weights_of_a_model_in_bfloat16_are_refused(tmp_path):
    from keras_pretext import backbones, tasks
    from keras_pretext.serving import export
    from keras_pretext.training.precision import precision

    with precision("mixed_bfloat16"):
        model = tasks.get("rotation").attach(backbones.get("network_in_network", blocks=3))
    with pytest.raises(ValueError, match="computes in float32. Received: one in bfloat16"):
        export(model, tmp_path / "saved", weights=tmp_path / "weights.npz")
    assert not (tmp_path / "saved").exists()


TENSORFLOW_ONLY = """
import sys

for hidden in ("keras", "keras_pretext", "tf_keras"):
    sys.modules[hidden] = None  # importing it raises ModuleNotFoundError
import numpy as np
import tensorflow as tf

given = np.load(sys.argv[2])
served = tf.saved_model.load(sys.argv[1]).signatures
out = {f"features/{k}": v.numpy() for k, v in served["features"](images=given["images"]).items()}
out |= {f"images/{k}": v.numpy() for k, v in served["images"](images=given["images"]).items()}
png = [tf.io.encode_png(image) for image in given["images"]]
out |= {f"serving_default/{k}": v.numpy()
        for k, v in served["serving_default"](bytes=tf.stack(png)).items()}
assert not [name for name in sys.modules if name.startswith(("keras.", "keras_pretext."))]
np.savez(sys.argv[3], **out)
"""


@pytest.mark.parametrize("kind", ["folder", "unpacked"])
def test_it_loads_where_there_is_only_tensorflow(model, kind, request, tmp_path, rng):
    folder = request.getfixturevalue(kind)
    images = rng.integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    np.savez(tmp_path / "in.npz", images=images)
    done = subprocess.run([sys.executable, "-c", TENSORFLOW_ONLY, str(folder),
                           str(tmp_path / "in.npz"), str(tmp_path / "out.npz")],
                          capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = dict(np.load(tmp_path / "out.npz"))
    maps = {k: np.asarray(v) for k, v in model.backbone(images, training=False).items()}
    assert len(found) == 10 and found.pop("serving_default/valid").all()
    close(found, {f"features/{k}": v for k, v in maps.items()})
    for by in ("images", "serving_default"):
        close(found, {f"{by}/{k}": v.mean((1, 2)) for k, v in maps.items()})


@pytest.mark.parametrize("kind", ["folder", "unpacked"])
def test_it_runs_through_the_c_api(model, kind, request, tmp_path, rng):
    """The loader that TF Serving uses, by ctypes, in a process without TensorFlow's Python."""
    folder = request.getfixturevalue(kind)
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = graph.meta_graphs[0].signature_def
    images = rng.integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    np.save(tmp_path / "images.npy", images)
    batch = [*map(encoded, images), encoded(images[0])[:-500], b""]
    request = {"libraries": [], "model": str(folder), "images": str(tmp_path / "images.npy"),
               "bytes": [one.hex() for one in batch], "calls": {}}
    import tensorflow as tf

    for library in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
        path = os.path.join(os.path.dirname(tf.__file__), library)
        if not os.path.exists(path):
            pytest.skip(f"this build of TensorFlow has no {library}")
        request["libraries"].append(path)
    for name, argument in (("images", "images"), ("serving_default", "bytes"),
                           ("embedding", "bytes")):
        request["calls"][name] = {
            "input": signatures[name].inputs[argument].name,
            "outputs": {k: v.name for k, v in signatures[name].outputs.items()}}
    (tmp_path / "request.json").write_text(json.dumps(request))
    done = subprocess.run([sys.executable, C_CLIENT, str(tmp_path / "request.json"),
                           str(tmp_path / "out.npz")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found, expected = dict(np.load(tmp_path / "out.npz")), pooled(model, images)
    assert len(found) == 9
    assert found["serving_default/valid"].tolist() == [True, True, False, False]
    assert not found["serving_default/block3"][2:].any()
    close({k: v[:2] for k, v in found.items()},
          {f"{by}/{k}": v for by in ("images", "serving_default") for k, v in expected.items()})
    unit = expected["block3"] / np.linalg.norm(expected["block3"], axis=1, keepdims=True)
    assert found["embedding/embedding"].dtype == np.float16
    np.testing.assert_allclose(found["embedding/embedding"][:2], unit, atol=1e-3)
