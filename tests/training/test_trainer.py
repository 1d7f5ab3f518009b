import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from keras_pretext import data, zoo
from keras_pretext.data.source import check_held_out
from keras_pretext.training import (
    Recipe,
    Trainer,
    checkpoint,
    evaluate,
    load_recipe,
    load_run,
    train,
)
from keras_pretext.training.health import Health, NotFinite
from keras_pretext.training.profiling import profile
from keras_pretext.training.runs import locked


def small(npz, **fields):
    network = ("resnet", {"depth": 11, "blocks": 2, "flavour": "cifar", "output_stride": 2})
    return Recipe(name="small", task="rotation", backbone=network, data=f"npz:{npz}", **{
                      "test_split": None, "epochs": 2, "batch_size": 16, "learning_rate": 0.02,
                      "checkpoint_steps": 2, **fields})


def final_weights(out):
    return [np.asarray(w) for w in load_run(out).weights]


def test_it_learns_and_writes_a_whole_run(npz, tmp_path):
    out = tmp_path / "run"
    row = train(small(npz, epochs=6), out, progress=False)
    assert row["loss"] < 0.7 * np.log(4)
    assert json.loads((out / "manifest.json").read_text())["data"]["num_examples"] == 96
    assert load_recipe(out).fingerprint() == small(npz, epochs=6).fingerprint()
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 36 and "learning: loss" in rows[-2]["health"]
    model = load_run(out)
    assert model.task.name == "rotation"
    assert list(model.backbone.taps) == ["conv1", "block1", "block2"]


def test_a_run_is_read_by_a_process_that_has_trained_nothing(npz, tmp_path):
    train(small(npz, epochs=0.2, schedule={"kind": "one_cycle"}), tmp_path, progress=False)
    code = ("from keras_pretext.training import load_run\n"
            f"print(load_run({str(tmp_path)!r}).optimizer.name)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "coupled_sgd", done.stderr


def test_stopping_anywhere_and_resuming_gives_the_same_weights_to_the_bit(npz, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(small(npz), whole, progress=False)
    for steps in (3, 4, None):  # also in the middle of an epoch
        train(small(npz), parts, progress=False, max_steps=steps)
    for a, b in zip(final_weights(whole), final_weights(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_kill_dash_nine_and_restart_gives_the_same_weights_to_the_bit(npz, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    recipe = small(npz, epochs=8)
    train(recipe, whole, progress=False)
    code = (f"import json, sys\nfrom keras_pretext.training import Recipe, train\n"
            f"fields = json.loads({json.dumps(json.dumps(recipe.to_dict()))})\n"
            f"train(Recipe.from_dict(fields), {str(killed)!r}, progress=False)\n")
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    log, deadline = killed / "checkpoints", time.time() + 120
    while len(list(log.glob("step-*.npz"))) < 2 and time.time() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "final").exists()
    train(recipe, killed, progress=False)
    for a, b in zip(final_weights(whole), final_weights(killed), strict=True):
        np.testing.assert_array_equal(a, b)
    steps = [json.loads(line)["step"] for line in (killed / "metrics.jsonl").read_text()
             .splitlines()]
    assert steps == sorted(steps)


def test_a_run_begins_with_the_backbone_of_another(npz, tmp_path):
    train(small(npz), tmp_path / "first", progress=False)
    first, recipe = load_run(tmp_path / "first"), small(npz, initial=str(tmp_path / "first"))
    second = Trainer(recipe, tmp_path / "second", progress=False)
    for a, b in zip(first.backbone.weights, second.model.backbone.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    (tmp_path / "second" / "checkpoints").mkdir()  # killed before the first was whole
    again = Trainer(recipe, tmp_path / "second", progress=False)
    np.testing.assert_array_equal(np.asarray(again.model.backbone.weights[0]),
                                  np.asarray(first.backbone.weights[0]))
    head = [np.asarray(model.get_layer("logits").kernel) for model in (first, second.model)]
    assert not np.array_equal(*head)  # the head is a new one
    train(recipe, tmp_path / "second", progress=False, max_steps=3)
    shutil.rmtree(tmp_path / "first")  # a checkpoint needs it no more
    assert Trainer(recipe, tmp_path / "second", progress=False).step == 3


def test_the_manifest_keeps_the_first_command_and_the_version_it_began_with(
        npz, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_PRETEXT_ZOO", str(tmp_path / "zoo"))
    train(small(npz), tmp_path / "first", progress=False)
    zoo.publish(tmp_path / "first", "begun", root=tmp_path / "zoo", saved_model=False)
    recipe, out = small(npz, initial="begun"), tmp_path / "run"
    for k, command in enumerate(("pretrain r.py", "pretrain run", "pretrain run --xla")):
        monkeypatch.setattr(sys, "argv", ["keras-pretext", *command.split()])
        train(recipe, out, progress=False, max_steps=2)
        zoo.publish(tmp_path / "first", "begun", root=tmp_path / "zoo", saved_model=False)
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["command"] == "keras-pretext pretrain r.py"
        assert manifest["initial"] == "begun@1"
        assert manifest.get("resumed_by") == (f"keras-pretext {command}" if k else None)
    monkeypatch.setattr(sys, "argv", ["keras-pretext", "pretrain", "run"])
    train(recipe, out, progress=False)
    card = zoo.info(zoo.publish(out, "other", root=tmp_path / "zoo", saved_model=False))
    assert card["recipe"]["initial"] == "begun@1"
    assert card["command"] == "keras-pretext pretrain r.py"


def test_initial_weights_of_another_backbone_are_refused(npz, tmp_path):
    train(small(npz, epochs=0.2), tmp_path / "short", progress=False)
    with pytest.raises(ValueError, match="of a backbone as the recipe's"):
        Trainer(small(npz, initial=str(tmp_path / "short")).replace(**{"backbone.blocks": 3}),
                tmp_path / "other", progress=False)
    with pytest.raises(ValueError, match="zoo"):
        Trainer(small(npz, initial="no_such_model"), tmp_path / "other", progress=False)
    assert not (tmp_path / "other").exists()  # a corrected recipe finds it free


def test_a_half_written_checkpoint_is_passed_over(npz, tmp_path):
    train(small(npz), tmp_path, progress=False, max_steps=4)
    newest = sorted((tmp_path / "checkpoints").glob("*.npz"))[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert Trainer(small(npz), tmp_path, progress=False).step == 2


def test_checkpoints_that_cannot_be_read_are_no_fresh_start(npz, tmp_path):
    """Else the log is erased, and the next checkpoints are older than those that stay."""
    train(small(npz), tmp_path, progress=False, max_steps=6)
    kept = sorted((tmp_path / "checkpoints").glob("*.npz"))
    log = (tmp_path / "metrics.jsonl").read_text()
    for path, content in zip(kept, (b"", b"PK"), strict=True):
        path.write_bytes(content)
    with pytest.raises(ValueError, match="none of the checkpoints.*step-0000000004.npz"):
        train(small(npz), tmp_path, progress=False)
    assert (tmp_path / "metrics.jsonl").read_text() == log
    for path in kept:
        path.rename(path.with_name(path.name.replace("00000000", "00000099")))
    checkpoint.save(tmp_path / "checkpoints", 2, [np.zeros(3)], {})
    assert (tmp_path / "checkpoints" / "step-0000000002.npz").is_file()


def test_an_epoch_killed_before_its_test_is_tested_by_the_next_process(npz, tmp_path):
    recipe = small(npz, test_split="train", test_images=32)
    seen = []
    callback = SimpleNamespace(on_epoch=lambda trainer, row: seen.append((trainer.step, row)))
    train(recipe, tmp_path / "whole", progress=False)

    def killed(trainer):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts", progress=False)
    train(recipe, tmp_path / "parts", progress=False, callbacks=[callback])
    assert [step for step, _ in seen] == [6, 12] and all("loss" in row for _, row in seen)
    whole, parts = (
        [{k: v for k, v in json.loads(line).items() if "loss" in k or k == "step"}
         for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("whole", "parts"))
    assert whole == parts


def test_a_finished_run_is_not_touched(npz, tmp_path):
    row = train(small(npz), tmp_path, progress=False)
    before = {p: p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}
    again = train(small(npz), tmp_path, progress=False)
    assert again["loss"] == row["loss"]
    assert {p: p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()} == before


def test_data_that_have_changed_are_told_and_kept_in_the_manifest(npz, tmp_path, capsys):
    train(small(npz), tmp_path / "run", progress=False, max_steps=2)
    with np.load(npz) as file:
        np.savez(npz, images=file["images"][:80], labels=file["labels"][:80])
    train(small(npz), tmp_path / "run", progress=False, max_steps=1)
    assert "those of 80 pictures, not 96" in capsys.readouterr().err
    train(small(npz), tmp_path / "run", progress=False)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["data"]["num_examples"] == 80
    former, = manifest["former_data"]
    assert (former["num_examples"], former["until_step"]) == (96, 2)


def test_a_start_that_failed_or_a_check_does_not_claim_the_folder(npz, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="larger than the data set"):
        Trainer(small(npz, batch_size=1000), out, progress=False)
    Trainer(small(npz, seed=3), out, progress=False)  # as --check does
    train(small(npz), out, progress=False, max_steps=1)
    assert json.loads((out / "recipe.json").read_text())["seed"] == 0
    with pytest.raises(ValueError, match="holds a run of another recipe .it differs in seed"):
        Trainer(small(npz, seed=3), out, progress=False)


def test_two_processes_do_not_train_in_one_folder(npz, tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="another process is training"):
        train(small(npz), tmp_path, progress=False)
    assert not (tmp_path / "metrics.jsonl").exists()
    train(small(npz), tmp_path, progress=False, max_steps=1)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for recipe in (small(npz), small(npz, seed=1)):
        with locked(tmp_path), pytest.raises(ValueError, match="another process is training"):
            Trainer(recipe, tmp_path, progress=False)
    Trainer(small(npz), tmp_path, progress=False)  # as --check does
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before  # also the log: a row after the checkpoint goes when training goes on


def test_a_model_is_saved_whole_or_not_at_all(tmp_path):
    class Full:
        def save(self, path):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "model.keras").write_bytes(b"former")
    with pytest.raises(OSError, match="could not be written"):
        checkpoint.save_model(Full(), tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (tmp_path / "model.keras").read_bytes() == b"former"


def test_one_split_is_no_test_of_another_name(npz, tmp_path):
    with pytest.raises(ValueError, match="splits 'train' and 'test' are the same pictures"):
        Trainer(small(npz, test_split="test"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_profile_needs_no_test_split(npz):
    rates = profile(small(npz, test_split="test"), seconds=0.01)  # which the file does not have
    assert set(rates) == {"pipeline", "model", "whole"} and min(rates.values()) > 0


def test_a_part_of_the_training_pictures_is_no_test():
    def split(name):
        return SimpleNamespace(name="voc/2007", split=name, num_examples=len(name),
                                     fingerprint=lambda: name)

    with pytest.raises(ValueError, match="share pictures, those of validation.*Received: 'voc"):
        check_held_out(split("train+validation"), split("validation"))
    check_held_out(split("train+validation"), split("test"))
    check_held_out(split("train"), split("train"))  # one split twice, where that is meant


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path, rng):
    """Its header and its end are whole: only decoding tells, in the middle of a run."""
    for k in range(4):
        image = rng.integers(0, 256, (64, 80 + k, 3)).astype("uint8")
        Image.fromarray(image).save(tmp_path / f"{k}.jpg", quality=95)
    broken = bytearray((tmp_path / "2.jpg").read_bytes())
    broken[1500:2500] = b"\xff\xc4" * 500
    (tmp_path / "2.jpg").write_bytes(broken)
    recipe = Recipe(name="small", task=("rotation", {"image_size": 32}),
                    backbone=small("").backbone, data=f"folder:{tmp_path}", test_split=None,
                    epochs=3, batch_size=4)
    with pytest.raises(ValueError, match="cannot be decoded.*Received: .*2.jpg"):
        train(recipe, tmp_path / "run", progress=False)


def test_a_run_of_another_recipe_is_refused(npz, tmp_path):
    train(small(npz), tmp_path, progress=False, max_steps=1)
    with pytest.raises(ValueError, match="another recipe.*differs in learning_rate"):
        train(small(npz, learning_rate=0.5), tmp_path, progress=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(npz, tmp_path):
    with pytest.raises(NotFinite, match="lower learning rate"):
        train(small(npz, learning_rate=1e20), tmp_path, progress=False)
    with np.load(tmp_path / "not_finite.npz") as file:
        assert file["tensor0"].shape == (16, 4, 32, 32, 3) and file["index"].shape == (16,)


def test_xla_and_determinism_exclude_each_other(npz, tmp_path):
    with pytest.raises(ValueError, match="deterministic=False"):
        Trainer(small(npz), tmp_path, xla=True)


def test_an_unwritable_folder_is_refused_before_any_work(npz, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        Trainer(small(npz), tmp_path / "file" / "run")


@pytest.mark.parametrize("fields, message", [
    ({"batch_size": 200}, "use at most 96"),
    ({"task": "rotatoin"}, "Did you mean 'rotation'"),
    ({"backbone": "alexnett"}, "Did you mean 'alexnet'"),
    ({"data": "npz:/nowhere.npz"}, "no such .npz"),
    ({"schedule": {"kind": "one-cycle"}}, "Did you mean 'one_cycle'"),
    ({"epochs": float("inf")}, "epochs is positive"),
    ({"precision": "float16"}, "mixed_bfloat16"),
    ({"batchsize": 3}, "Did you mean 'batch_size'"),
])
def test_bad_recipes_give_one_clear_error(npz, tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        Trainer(small(npz).replace(**fields), tmp_path)


def test_the_health_line_names_what_is_wrong():
    def after(losses, images=1000):
        health = Health({"loss": 1.386, "accuracy": 0.25})
        for loss in losses:
            health.update({"loss": loss}, images)
        return health.line()

    assert after([1.4] * 5).startswith("at chance")
    assert "still at chance" in after([1.39] * 30) and "30000 images" in after([1.39] * 30)
    assert after([0.6] * 50).startswith("learning")
    assert after([0.6] * 50 + [1.39] * 200).startswith("collapsed")


def test_a_task_puts_its_own_diagnosis_into_the_health_line(npz, tmp_path):
    trainer = Trainer(small(npz), tmp_path, progress=False, max_steps=3)
    trainer.task.diagnose = lambda trainer: (
        f"ill at {trainer.health.means['accuracy']:.6f}" if trainer.health.images > 32 else None)
    row = trainer.run()
    assert row["health"] == f"ill at {trainer.health.means['accuracy']:.6f}"
    again = Trainer(small(npz), tmp_path, progress=False)  # and it is resumed
    assert again.health.means == trainer.health.means and again.health.images == 48


def test_the_health_lines_means_are_smoothed_and_an_old_state_is_read():
    health = Health({"loss": 1.0, "accuracy": 0.5})
    for loss, other in ((1.0, 4.0), (0.0, 8.0)):
        health.update({"loss": loss, "other": other}, 10)
    assert health.means == {"loss": pytest.approx(0.95), "other": pytest.approx(4.2)}
    health.set_state({"images": 7, "mean": 0.25, "best": None})
    assert health.mean == 0.25 and health.images == 7


def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_when_there_is_room(
        npz, tmp_path, monkeypatch):
    whole, full = tmp_path / "whole", tmp_path / "full"
    train(small(npz), whole, progress=False)
    train(small(npz), full, progress=False, max_steps=2)
    kept = {p: p.read_bytes() for p in (full / "checkpoints").iterdir()}
    fsync = os.fsync

    def no_room(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    trainer = Trainer(small(npz), full, progress=False)
    trainer._manifest()
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space left on device.*goes on from there.*checkpoint"):
        trainer._save()
    assert {p: p.read_bytes() for p in (full / "checkpoints").iterdir()} == kept
    monkeypatch.setattr(os, "fsync", fsync)
    train(small(npz), full, progress=False)
    for a, b in zip(final_weights(whole), final_weights(full), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_measured_is_what_is_saved(npz, tmp_path):
    recipe = small(npz, test_split="train", test_images=20, epochs=1)
    train(recipe, tmp_path, progress=False)
    written = json.loads((tmp_path / "final" / "metrics.json").read_text())
    found = evaluate(load_run(tmp_path), data.open(recipe.data), 16)
    assert written["test_images"] == 96
    assert written["test_accuracy"] == found["accuracy"] and written["test_loss"] == found["loss"]
