"""Publish, load and verify: what is read back is what was written, and self-checks bite."""

import json
import os
import shutil
import zipfile

import keras
import numpy as np
import pytest

from keras_pretext import zoo
from keras_pretext.evaluation.features import weights_digest
from keras_pretext.zoo import entry as entries
from keras_pretext.zoo import store, weights


def rewrite(folder, name, change):
    """Changes the arrays of an `.npz` of an entry and its sum, as a careless publisher would."""
    with np.load(folder / name) as file:
        arrays = {k: file[k] for k in file.files}
    change(arrays)
    np.savez(folder / name, **arrays)
    resum(folder, name)


def resum(folder, name):
    sums = json.loads((folder / "sha256.json").read_text())
    sums[name] = store.sha256(folder / name)
    (folder / "sha256.json").write_text(json.dumps(sums))


def test_loaded_features_are_the_models(entry, model, rng):
    images = rng.integers(0, 256, (3, 40, 52, 3)).astype("uint8")
    expected = model.backbone(images, training=False)
    found = zoo.load("tiny_rotnet")(images)
    assert set(found) == {"block1", "block2", "block3"}
    for tap, value in found.items():
        want = np.asarray(expected[tap])
        assert value.shape == want.shape
        assert np.abs(value - want).max() < 2e-3 * np.abs(want).max()
    one = zoo.load("tiny_rotnet", taps="block2", pooling="avg")(images.astype("float32"))
    np.testing.assert_allclose(one, np.asarray(found["block2"]).mean((1, 2)), rtol=1e-4, atol=1e-5)
    two = zoo.load("tiny_rotnet", taps=["block1", "block2"], pooling="max")(images)
    np.testing.assert_allclose(two["block1"], np.asarray(found["block1"]).max((1, 2)), rtol=1e-5)


def test_a_run_that_is_not_finished_says_so(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    for read in (zoo.load, entries.pretext_model):
        with pytest.raises(store.ZooError, match="not finished: its command, .*goes on.*/run'"):
            read(tmp_path / "run")


def test_the_head_answers_each_image_as_the_pretext_model_does(entry, model, rng):
    pictures = rng.integers(0, 256, (2, 4, 32, 32, 3)).astype("uint8")
    head = zoo.load("tiny_rotnet", head=True)
    logits = np.asarray(head(pictures.reshape(8, 32, 32, 3))).reshape(2, 4, 4)
    np.testing.assert_allclose(logits, model(pictures, training=False), rtol=0.02, atol=0.02)
    assert head(np.zeros((1, 47, 61, 3), "uint8")).shape == (1, 4)
    assert head.task == model.task and head.backbone.blocks == 3


def test_trainable(entry):
    frozen = zoo.load("tiny_rotnet", taps="block1")
    assert not frozen.trainable_weights
    open_ = zoo.load("tiny_rotnet", taps="block1", trainable=True)
    assert len(open_.trainable_weights) == 9  # three of kernel, gamma and beta: no later block's
    assert open_.backbone.taps["block1"].channels == 96


@pytest.mark.parametrize(("options", "message"), [
    ({"taps": "blok2"}, r"unknown tap.*Did you mean 'block2'"),
    ({"pooling": "mean"}, r"pooling is None, 'avg' or 'max'. Received: 'mean'"),
    ({"taps": "block2", "head": True}, r"head=True gives the head's answer.*Received: taps='bl"),
])
def test_bad_options(entry, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.load("tiny_rotnet", **options)


def test_verify_repeats_the_golden_pictures(entry):
    report = zoo.verify("tiny_rotnet")
    assert report["signatures"] == ["features", "images", "serving_default"]
    assert report["files"] == 9 and report["largest_difference"] < 1e-4
    with np.load(entry / "golden.npz") as golden:
        assert golden["images"].shape == (2, 32, 32, 3) and golden["images"].dtype == np.uint8
        assert set(golden.files) == {"images", "block1", "block2", "block3", "logits"}


def test_verify_holds_under_another_dtype_policy(entry):
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert zoo.verify("tiny_rotnet")["largest_difference"] < 1e-4
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(former)


@pytest.mark.parametrize("factor", [1.01, np.nan])
def test_verify_finds_another_answer(entry, factor):
    def change(arrays):
        arrays["block2"] = arrays["block2"] * np.float32(factor)

    rewrite(entry, "golden.npz", change)
    with pytest.raises(store.ZooError, match="golden pictures give another answer by the model"):
        zoo.verify("tiny_rotnet")


def test_one_file_of_weights_serves_the_model_and_the_saved_model(entry):
    assert store.weights_of(entry) == "saved_model/assets/weights.npz"
    assert [p.name for p in entry.rglob("*.npz") if p.name != "golden.npz"] == ["weights.npz"]
    assert (entry / "saved_model" / "variables" / "variables.data-00000-of-00001").stat(
        ).st_size < 10_000


def test_verify_finds_a_card_of_another_model(entry):
    card = store.read_json(entry / "card.json")
    card["task"]["config"]["image_size"] = 7
    store.write_json(entry / "card.json", card)
    store.write_json(entry / "sha256.json", {
        **store.read_json(entry / "sha256.json"), "card.json": store.sha256(entry / "card.json")})
    with pytest.raises(store.ZooError, match="the card tells of another task"):
        zoo.verify(entry)


def test_a_saved_model_without_its_signatures_is_one_error(entry):
    import tensorflow as tf

    shutil.rmtree(entry / "saved_model" / "variables")
    weights = entry / "saved_model" / "assets" / store.WEIGHTS
    content = weights.read_bytes()
    tf.saved_model.save(tf.Module(), str(entry / "saved_model"))
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(content)
    store.write_json(entry / "sha256.json", {
        file: store.sha256(entry / file) for file in store.files_of(entry)})
    with pytest.raises(store.ZooError, match="the SavedModel cannot be loaded.*'features'"):
        zoo.verify(entry)


def test_verify_finds_weights_written_anew_without_their_saved_model(entry):
    """Their places in the file are other ones, and those of the graph lead astray."""
    rewrite(entry, store.weights_of(entry), lambda arrays: None)
    with pytest.raises(store.ZooError, match="SavedModel cannot be loaded, it belongs to other"):
        zoo.verify("tiny_rotnet")


def test_an_entry_of_former_versions_has_its_weights_beside_the_card(entry):
    from keras_pretext.serving import export

    old = entries.pretext_model("tiny_rotnet")
    (entry / store.weights_of(entry)).rename(entry / "weights.npz")
    shutil.rmtree(entry / "saved_model")
    export(old, entry / "saved_model")  # with variables of its own
    for name in store.files_of(entry):
        resum(entry, name)
    sums = json.loads((entry / "sha256.json").read_text())
    del sums["saved_model/assets/weights.npz"]
    (entry / "sha256.json").write_text(json.dumps(sums))
    assert store.weights_of(entry) == "weights.npz"
    assert zoo.verify("tiny_rotnet")["largest_difference"] < 1e-4
    (entry / "weights.npz").unlink()
    with pytest.raises(store.ZooError, match="weights.npz is missing"):
        zoo.load("tiny_rotnet")


def test_verify_finds_other_weights_in_the_saved_model(entry, make_model):
    """Weights and golden answers of another seed: only the SavedModel still tells the old one."""
    other = make_model(seed=1)
    weights.save(entry / "weights.npz", other)
    weights.load(entry / "weights.npz", other)
    images = entries.golden_images(32)
    np.savez(entry / "golden.npz", images=images, **entries.golden_answer(other, images))
    resum(entry, "weights.npz")
    resum(entry, "golden.npz")
    with pytest.raises(store.ZooError, match="another answer by the features"):
        zoo.verify("tiny_rotnet")


def test_publish_names_the_next_version_and_never_overwrites(entry, model):
    root = entry.parents[1]
    before = {p: p.read_bytes() for p in entry.rglob("*") if p.is_file()}
    second = zoo.publish(model, "tiny_rotnet", root=root, saved_model=False)
    assert second == root / "tiny_rotnet" / "2"
    assert zoo.info("tiny_rotnet")["version"] == 2
    for version, message in ((1, "never overwritten; the next is 3. Received: 1"),
                             (0, "integer from 1 on. Received: 0"), ("3", "Received: '3'")):
        with pytest.raises(store.ZooError, match=message):
            zoo.publish(model, "tiny_rotnet", root=root, version=version)
    assert before == {p: p.read_bytes() for p in entry.rglob("*") if p.is_file()}
    assert sorted(os.listdir(root / "tiny_rotnet")) == ["1", "2"]


def test_a_loaded_entry_published_again_has_the_same_weights(entry, tmp_path):
    model = entries.pretext_model("tiny_rotnet")
    again = zoo.publish(model, "again", root=tmp_path, saved_model=False)
    first, second = (weights.read_arrays(f / store.weights_of(f)) for f in (entry, again))
    for (_, a), (_, b) in zip(sorted(first.items()), sorted(second.items()), strict=True):
        np.testing.assert_array_equal(a, b)
    assert zoo.info(again)["storage"] == {"dtype": "float16", "largest_change": 0.0}


@pytest.mark.parametrize(("name", "card", "message"), [
    ("../x", {}, "a zoo name is"), ("Name", {}, "a zoo name is"), ("12", {}, "a zoo name is"),
    ("x", {"license": "MIT"}, "unknown field of a zoo card. Did you mean 'licence'"),
    ("x", {"metrics": [{"protocol": "p", "taps": {"block1": {}}}]}, "a metric of a card is"),
    ("x", {"paper": {"p": 75.0}}, "a paper's row is"),
    ("x", {"name": "y", "limits": "z"}, "of the model itself.*Received: name='y'"),
    ("x", {"golden_tolerance": 1e9}, "of the model itself"),
])
def test_publish_refuses_before_writing(model, tmp_path, name, card, message):
    with pytest.raises(ValueError, match=message):
        zoo.publish(model, name, root=tmp_path / "zoo", card=card)
    assert not (tmp_path / "zoo").exists()


def test_tables_of_a_run_go_into_its_entry(entry, model, npz, tmp_path, monkeypatch):
    from keras_pretext.training import Recipe, train

    recipe = Recipe(name="nat", task=("noise_targets", {"dim": 8, "image_size": 32}),
                    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 32}),
                    data=f"npz:{npz}", test_split=None, epochs=0.5, batch_size=24)
    train(recipe, tmp_path / "run", progress=False)
    folder = zoo.publish(tmp_path / "run", "nat", root=tmp_path / "shelf", saved_model=False)
    assert "tables.npz" in json.loads((folder / "sha256.json").read_text())
    monkeypatch.setenv("KERAS_PRETEXT_ZOO", str(tmp_path / "shelf"))
    found = zoo.tables("nat")
    assert sorted(found) == ["assignment", "seed"]
    np.testing.assert_array_equal(np.sort(found["assignment"]), np.arange(96))
    with np.load(tmp_path / "run" / "final" / "tables.npz") as file:
        np.testing.assert_array_equal(found["assignment"], file["assignment"])
    zoo.bundle("nat", tmp_path / "bundle")
    assert sorted(zoo.tables(tmp_path / "bundle" / "nat")) == ["assignment", "seed"]
    assert zoo.tables(entry) == {}  # a task that has none

    damaged = (folder / "tables.npz").read_bytes()
    (folder / "tables.npz").write_bytes(damaged[:-1] + bytes([damaged[-1] ^ 1]))
    for ask in (zoo.tables, zoo.verify):
        with pytest.raises(store.ZooError, match="tables.npz does not have its SHA-256"):
            ask("nat")
    (folder / "tables.npz").unlink()
    with pytest.raises(store.ZooError, match="tables.npz does not have.*Received: no file"):
        zoo.tables("nat")
    (tmp_path / "run" / "final" / "tables.npz").write_bytes(b"PK")
    with pytest.raises(store.ZooError, match="arrays cannot be read"):
        zoo.publish(tmp_path / "run", "other", root=tmp_path / "shelf", saved_model=False)
    assert not (tmp_path / "shelf" / "other").exists()


def test_what_was_tried_is_kept_for_the_scoreboard_only(entry, npz, tmp_path, capsys):
    from keras_pretext.cli import main
    from keras_pretext.evaluation.report import scoreboard
    from keras_pretext.training import Recipe, load_run, train

    recipe = Recipe(name="r", task=("rotation", {"image_size": 32}), data=f"npz:{npz}",
                    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 32}),
                    test_split="train", epochs=0.5, batch_size=24)
    train(recipe, tmp_path / "run", progress=False)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(
        {**manifest, "command": "keras-pretext pretrain r.py --out /some/run --set epochs=0.5 "
         "--set data=npz:/some/folder/a.npz --set 'x=[\"/b/c/d\", \"gs://e/f/g\"]' r/s.py"}))
    taps = {"last": [0.3], "last_mean": 0.3, "last_std": 0.01, "best_mean": 0.31}
    digest = weights_digest(load_run(tmp_path / "run").backbone)[:16]
    rows = [{"protocol": "p", "settings": {"test": "d/test", "weights_from": weights, "epochs": 3,
                                           "weights": digest},
             "taps": {"conv1": {**taps, "last_mean": low}, "conv2": {**taps, "last_mean": high}}}
            for weights, low, high in (("runs/r", 0.2, 0.3), ("random", 0.4, 0.25))]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    root = entry.parents[1]
    command = ["publish", str(tmp_path / "run"), "some_net", "--root", str(root), "--tried"]
    assert main([*command, "--metrics", str(tmp_path / "m.json"), "--limits", "Too short."]) == 0
    assert capsys.readouterr().out.strip() == str(root / "tried" / "some_net.json")
    text = scoreboard(root=root)
    end = text[text.index("## Tried, not published"):]
    assert "| p on d/test | 3 | conv2 | 30.00 ± 1.00 | 25.00 ± 1.00 | Too short. |" in end
    kept = store.tried(root)[0]
    assert [m["settings"]["weights_from"] for m in kept["metrics"]] == ["this entry", "random"]
    assert kept["command"] == ("keras-pretext pretrain r.py --set epochs=0.5 --set data=npz:a.npz "
                               "--set 'x=[\"d\", \"gs://e/f/g\"]' r/s.py")
    assert str(tmp_path) not in json.dumps(kept) and kept["data"]["name"] == "npz:pictures.npz"
    assert kept["pretext"]["chance_accuracy"] == 0.25 and f"{kept['images_seen']:,}" in end
    assert f"| {100 * kept['pretext']['test_accuracy']:.1f} % | 25.0 % |" in end
    assert "some_net" not in text[:text.index("## Tried")] and "some_net" not in zoo.list()

    capsys.readouterr()
    for more, message in (([], "has a measured number"), (["--card", "x.json"], "keeps no card")):
        assert main([*command, *more]) == 2 and message in capsys.readouterr().err
    with pytest.raises(store.ZooError, match="'tried' is taken"):
        zoo.publish(tmp_path / "run", "tried", root=root)
    assert sorted(p.name for p in (root / "tried").iterdir()) == ["some_net.json"]


def test_what_is_measured_later_goes_on_the_card(entry, tmp_path, capsys):
    from keras_pretext.cli import main

    taps = {"block2": {"last": [0.5], "last_mean": 0.5, "last_std": 0.01, "best_mean": 0.51}}
    digest = weights_digest(zoo.load("tiny_rotnet").backbone)[:16]
    rows = [{"protocol": "p", "settings": {"test": "d/test", "weights_from": weights,
                                           "weights": digest}, "taps": taps}
            for weights in ("/some/place/run", "random")]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    command = ["zoo", "add-metrics", "tiny_rotnet", "--metrics", str(tmp_path / "m.json")]
    weights = (entry / store.weights_of(entry)).read_bytes()
    for added in (2, 0):
        assert main(command) == 0
        assert capsys.readouterr().out == f"tiny_rotnet: {added} added\n"
    card = zoo.info("tiny_rotnet")
    assert [m["settings"]["weights_from"] for m in card["metrics"]] == ["this entry", "random"]
    assert card["licence"] == "CC0" and (entry / store.weights_of(entry)).read_bytes() == weights
    assert "| p | random |" in (entry / "README.md").read_text()
    assert sorted(p.name for p in entry.parent.iterdir()) == ["1"]
    assert zoo.verify("tiny_rotnet")["files"] > 5

    curve = [{"epoch": k, "pretext": {"accuracy": 0.5}, "object": 0.6, "object_std": 0.01,
              "protocol": "p", "tap": "block1"} for k in (1, 2)]
    (tmp_path / "curve.json").write_text(json.dumps(curve))
    for added in (2, 0):
        assert main(["zoo", "add-metrics", "tiny_rotnet", "--over-training",
                     str(tmp_path / "curve.json")]) == 0
        assert capsys.readouterr().out == f"tiny_rotnet: {added} added\n"
    assert zoo.info("tiny_rotnet")["over_training"] == curve
    assert len(zoo.info("tiny_rotnet")["metrics"]) == 2
    with pytest.raises(ValueError, match="a row over training has"):
        zoo.add_metrics("tiny_rotnet", over_training=[{"epoch": 1}])

    assert zoo.info("tiny_rotnet")["limits"] == "untrained"
    assert main(["zoo", "add-metrics", "tiny_rotnet", "--limits", "Still untrained."]) == 0
    assert capsys.readouterr().out == "tiny_rotnet: 0 added, limits written\n"
    assert zoo.info("tiny_rotnet")["limits"] == "Still untrained."
    assert "Still untrained." in (entry / "README.md").read_text()
    assert len(zoo.info("tiny_rotnet")["metrics"]) == 2 and zoo.verify("tiny_rotnet")

    for arguments, message in ((["tiny_rotnet"], "takes one entry"),
                               (["other", "--metrics", str(tmp_path / "m.json")], "unknown zoo")):
        assert main(["zoo", "add-metrics", *arguments]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="a metric of a card is"):
        zoo.add_metrics("tiny_rotnet", [{"protocol": "p"}])
    (entry / "golden.npz").write_bytes(b"")
    with pytest.raises(store.ZooError, match="SHA-256"):
        zoo.add_metrics("tiny_rotnet", rows)


def test_metrics_of_other_weights_are_not_the_entrys(entry, tmp_path):
    def row(place, weights="0"):
        return {"protocol": "p", "settings": {"weights_from": place, "weights": weights},
                "taps": {"block2": {"last": [0.5], "last_mean": 0.5, "last_std": 0.01,
                                    "best_mean": 0.51}}}

    for place in ("runs/supervised", str(entry), "./run"):
        with pytest.raises(store.ZooError, match="of other weights than.*--label.*Received: p of"):
            zoo.add_metrics("tiny_rotnet", [row(place)])
    assert zoo.add_metrics("tiny_rotnet", [row("tiny_rotnet", "1"), row("supervised")]) == 2
    assert zoo.add_metrics("tiny_rotnet", [row("runs/once", "1") | {"protocol": "q"}]) == 1
    assert [m["settings"]["weights_from"] for m in zoo.info("tiny_rotnet")["metrics"]] == [
        "this entry", "supervised", "this entry"]


def test_metrics_that_cannot_be_added_leave_the_entry_as_it_was(entry, monkeypatch):
    rename, calls = os.rename, []

    def fails_the_second_time(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no space left")
        rename(source, target)

    before = (entry / "card.json").read_bytes()
    monkeypatch.setattr(os, "rename", fails_the_second_time)
    with pytest.raises(OSError, match="no space"):
        zoo.add_metrics("tiny_rotnet", [{"protocol": "p", "taps": {}}])
    assert len(calls) == 3 and (entry / "card.json").read_bytes() == before
    monkeypatch.undo()
    assert store.check_sums(entry) > 5


def test_publish_takes_a_pretext_model_only(model, tmp_path):
    with pytest.raises(store.ZooError, match="is a PretextModel.*Received: NetworkInNetwork"):
        zoo.publish(model.backbone, "x", root=tmp_path / "zoo")


def test_a_publish_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_pretext.serving.signatures.export", full)
    with pytest.raises(OSError, match="No space left"):
        zoo.publish(model, "x", root=tmp_path / "zoo")
    assert not (tmp_path / "zoo" / "x").exists()


def test_a_model_that_answers_nan_is_not_published(make_model, tmp_path):
    broken = make_model()
    broken.backbone.get_layer("block1_conv1").kernel.assign(
        np.full(broken.backbone.get_layer("block1_conv1").kernel.shape, np.nan))
    with pytest.raises(store.ZooError, match="are its features finite"):
        zoo.publish(broken, "x", root=tmp_path / "zoo")
    assert not (tmp_path / "zoo" / "x").exists()


def test_float32_is_written_where_float16_changes_the_answer(make_model, tmp_path):
    small = make_model()
    layer = small.backbone.get_layer("block1_conv1")
    layer.kernel.assign(layer.kernel * 1e-7)  # below float16's smallest; batch norm blows it up
    norm = small.backbone.get_layer("block1_bn1")
    norm.gamma.assign(norm.gamma * 1e7)
    norm.moving_mean.assign(norm.moving_mean * 1e-7)
    folder = zoo.publish(small, "x", root=tmp_path, saved_model=False)
    assert zoo.info(folder)["storage"]["dtype"] == "float32"
    images = entries.golden_images(32)
    assert entries.difference(entries.golden_answer(small, images),
                              entries.golden_answer(entries.pretext_model(folder), images)) < 1e-5


def test_an_array_with_objects_is_refused_unread(entry, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(entry / store.weights_of(entry), x=np.array([Trap()], dtype=object))
    resum(entry, store.weights_of(entry))
    with pytest.raises(store.ZooError, match="cannot be read.*Received"):
        zoo.load("tiny_rotnet")
    assert not (tmp_path / "sprung").exists()


def test_a_cut_npz_with_a_fresh_sum_is_one_clear_error(entry):
    with open(entry / store.weights_of(entry), "rb+") as file:
        file.truncate(100_000)
    resum(entry, store.weights_of(entry))
    with pytest.raises(store.ZooError, match="cannot be read, the file is cut short"):
        zoo.load("tiny_rotnet")


def test_weights_of_another_model_are_refused(entry):
    def drop(arrays):
        arrays.pop(sorted(arrays)[0])

    rewrite(entry, store.weights_of(entry), drop)
    with pytest.raises(store.ZooError, match="of another model.*Received: "):
        zoo.load("tiny_rotnet")


def test_a_config_of_unknown_names_is_refused(entry):
    config = json.loads((entry / "config.json").read_text())
    config["backbone"]["name"] = "os.system"
    (entry / "config.json").write_text(json.dumps(config))
    resum(entry, "config.json")
    with pytest.raises(ValueError, match="unknown backbone.*Received: 'os.system'"):
        zoo.load("tiny_rotnet")


def test_a_keras_file_of_ours_loads(model, tmp_path, rng):
    model.save(tmp_path / "model.keras")
    images = rng.integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    found = zoo.load(tmp_path / "model.keras", taps="block3")(images)
    np.testing.assert_allclose(found, model.backbone(images, training=False)["block3"], rtol=1e-4,
                               atol=1e-5)


def test_an_unsafe_keras_file_is_refused_unread(tmp_path):
    inputs = keras.Input((2,))
    unsafe = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    unsafe.save(tmp_path / "lambda.keras")
    with pytest.raises(store.ZooError, match="not safe to read.*Received: "):
        zoo.load(tmp_path / "lambda.keras")


@pytest.mark.parametrize("smuggled", [
    {"module": "os", "class_name": "system", "registered_name": None, "config": {}},
    {"module": "os", "class_name": "system", "registered_name": "keras_pretext>X", "config": {}},
    {"class_name": "__lambda__", "config": {"value": "code"}},
    {"class_name": "function", "module": "builtins", "config": "eval"},
])
def test_a_keras_file_that_names_other_code_is_refused(model, tmp_path, smuggled):
    model.save(tmp_path / "good.keras")
    with (zipfile.ZipFile(tmp_path / "good.keras") as good,
          zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad):
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["backbone"]["config"]["mean"] = smuggled
                content = json.dumps(config)
            bad.writestr(name, content)
    with pytest.raises(store.ZooError, match="not safe to read"):
        zoo.load(tmp_path / "bad.keras")


def test_damaged_keras_files_are_one_clear_error(model, tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(store.ZooError, match="there is no such file"):
        zoo.load(path)
    model.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(store.ZooError, match="this .keras file is damaged"):
        zoo.load(path)


def test_an_entry_moved_anywhere_still_verifies(entry, tmp_path):
    shutil.move(entry, tmp_path / "elsewhere")
    assert zoo.verify(tmp_path / "elsewhere")["files"] == 9
