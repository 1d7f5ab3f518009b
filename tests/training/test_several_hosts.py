"""Two processes over loopback, and two devices of one process, end with one process' weights."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_pretext import cli, data
from keras_pretext.data.pipeline import pipeline
from keras_pretext.tasks import Rotation
from keras_pretext.training import Trainer, cluster, load_recipe, load_run, train

_RECIPE = """
from keras_pretext.training import Recipe
recipe = Recipe(name="hosts", task=({task!r}, dict(image_size=16, **{options!r})), data="npz:{npz}",
                backbone=("exemplar_cnn", dict(network="64c5-64c5-128f", image_size=16, dropout=0)),
                test_split={test!r}, epochs={epochs}, batch_size=24, learning_rate=0.01,
                checkpoint_steps=3)
"""
_EXAMPLE = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}


@pytest.fixture
def recipe_of(npz, tmp_path):
    def write(task, epochs, test=None, npz=npz, **options):
        path = tmp_path / f"{task}.py"
        path.write_text(_RECIPE.format(npz=npz, task=task, options=options, epochs=epochs,
                                       test=test))
        return path

    return write


@pytest.fixture
def kinds(tmp_path, rng):
    """An .npz of 96 pictures of four kinds; of noise alone, the last bit would choose clusters."""
    truth = rng.permutation(np.arange(96) % 4)
    y, x = np.indices((16, 16)) // 2 % 2
    kinds = np.stack([x, y, x ^ y, np.zeros_like(x)]) * 190 + 30
    images = kinds[truth][..., None] + rng.integers(-4, 5, (96, 16, 16, 3))
    np.savez(tmp_path / "kinds.npz", images=images.astype("uint8"))
    return tmp_path / "kinds.npz"


class Pair:
    """Two processes of one command, each with its TF_CONFIG."""

    def __init__(self, folder, *command, **environment):
        self.environment = environment
        taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in taken]
        for one in taken:
            one.close()
        self.folder, self.command, self.processes = folder, command, [None, None]
        for index in range(2):
            self.start(index)

    def start(self, index):
        config = {"cluster": {"worker": self.hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, **self.environment, "TF_CONFIG": json.dumps(config)}
        with open(self.folder / f"output{index}", "a") as file:
            self.processes[index] = subprocess.Popen(
                [sys.executable, *map(str, self.command)], env=environment, stdout=file,
                stderr=file)

    def ended(self):
        """The exit codes."""
        try:
            return [process.wait(timeout=900) for process in self.processes]
        finally:
            self.kill()

    def kill(self):
        for process in self.processes:
            process.kill()

    def output(self):
        return "\n".join((self.folder / f"output{k}").read_text()[-3000:] for k in range(2))

    def wait_for(self, happened):
        deadline = time.time() + 900
        while not happened():
            alive = all(process.poll() is None for process in self.processes)
            assert alive and time.time() < deadline, self.output()
            time.sleep(0.05)


def same_weights(a, b, atol=1e-5):
    for one, other in zip(load_run(a).weights, load_run(b).weights, strict=True):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


def steps_of(out):
    return [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def checkpoints(out):
    return len(list((out / "checkpoints").glob("step-*.npz")))


def test_a_killed_process_comes_back_and_two_end_as_one(recipe_of, tmp_path):
    recipe, one, two = recipe_of("rotation", 5, "train"), tmp_path / "one", tmp_path / "two"
    pair = Pair(tmp_path, "-m", "keras_pretext.cli", "pretrain", recipe, "--out", two,
                "--strategy", "multi-worker")
    try:
        train(recipe, one, progress=False)
        pair.wait_for(lambda: checkpoints(two) > 1)
        pair.processes[1].kill()
        pair.processes[1].wait()
        assert not (two / "final").exists()
        pair.start(1)  # the other has not been touched: it notices, and waits
    finally:
        codes = pair.ended()
    assert codes == [0, 0], pair.output()
    assert "another host is lost" in (tmp_path / "output0").read_text()
    same_weights(one, two)
    assert sorted(set(steps_of(two))) == sorted(set(steps_of(one)))  # the chief alone writes,
    assert len(steps_of(two)) <= len(steps_of(one))  # and no row twice
    ours, theirs = (json.loads((out / "final" / "metrics.json").read_text()) for out in (one, two))
    for name in ("loss", "accuracy", "test_loss", "test_accuracy"):
        assert abs(ours[name] - theirs[name]) < 1e-4, name


@pytest.mark.slow
def test_sigterm_on_one_saves_and_ends_all_and_a_killed_chief_comes_back(recipe_of, tmp_path):
    recipe, one, two = recipe_of("rotation", 20), tmp_path / "one", tmp_path / "two"
    command = ["-m", "keras_pretext.cli", "pretrain", recipe, "--out", two, "--strategy",
               "multi-worker"]
    train(recipe, one, progress=False)
    pair = Pair(tmp_path, *command)
    pair.wait_for(lambda: checkpoints(two) > 1)
    pair.processes[1].send_signal(signal.SIGTERM)
    assert pair.ended() == [143, 143], pair.output()
    stopped = steps_of(two)[-1]
    assert stopped < 80 and f"stopped after step {stopped};" in pair.output()
    pair = Pair(tmp_path, *command)
    pair.wait_for(lambda: steps_of(two)[-1] > stopped)
    pair.processes[0].kill()
    pair.processes[0].wait()
    pair.start(0)
    assert pair.ended() == [0, 0], pair.output()
    same_weights(one, two)


_TABLES = """
import sys
end, kind, *paths = sys.argv[1:]
from keras_pretext.training import cluster
strategy = getattr(cluster, kind)() if kind != "none" else None
from keras_pretext.training import train
for path in paths:
    train(path, path + end, strategy=strategy, progress=False)
"""


@pytest.mark.parametrize("backend, kind", [
    ("tensorflow", "multi_worker"), pytest.param("jax", "data_parallel", marks=pytest.mark.slow)])
def test_what_tasks_learn_between_steps_is_the_same_on_all_hosts(recipe_of, kinds, tmp_path,
                                                                 backend, kind):
    pytest.importorskip(backend)
    recipes = [recipe_of("noise_targets", 2, dim=16, every=1),
               recipe_of("deep_cluster", 2, npz=kinds, clusters=6, pca=3)]
    script = tmp_path / "script.py"
    script.write_text(_TABLES)
    pair = Pair(tmp_path, script, ".two", kind, *recipes, KERAS_BACKEND=backend)
    try:
        subprocess.run([sys.executable, script, ".one", "none", *recipes], check=True,
                       env={**os.environ, "KERAS_BACKEND": backend})
    finally:
        codes = pair.ended()
    assert codes == [0, 0], pair.output()
    for recipe in recipes:
        same_weights(f"{recipe}.one", f"{recipe}.two")
        ours, theirs = (np.load(f"{recipe}.{k}/final/tables.npz") for k in ("one", "two"))
        np.testing.assert_array_equal(ours["assignment"], theirs["assignment"])


def test_sigterm_saves_after_the_step_and_the_run_resumes(recipe_of, tmp_path):
    class Told:
        def on_start(self, trainer):
            os.kill(os.getpid(), signal.SIGTERM)

    former, recipe = signal.getsignal(signal.SIGTERM), load_recipe(recipe_of("rotation", 2))
    trainer = Trainer(recipe, tmp_path / "run", callbacks=[Told()], progress=False)
    assert trainer.run()["step"] == 1 and trainer.stopped
    assert signal.getsignal(signal.SIGTERM) is former
    assert Trainer(recipe, tmp_path / "run", progress=False).step == 1


def test_shares_of_a_batch_are_the_batch(npz):
    source, layer = data.open(f"npz:{npz}"), Rotation(image_size=16).layer()
    shares = [pipeline(source, layer, 24, 3, 2, steps=5, share=share).as_numpy_iterator()
              for share in (([0], 4), (range(1, 4, 2), 4), ([2], 4))]
    for inputs, labels in pipeline(source, layer, 24, 3, 2, steps=5).as_numpy_iterator():
        parts = [next(shares[k]) for k in (0, 1, 2, 1)]
        np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), inputs)
        np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), labels)
    assert [len([*share]) for share in shares] == [0, 0, 0]


@pytest.mark.parametrize("text, message", [
    (None, "needs TF_CONFIG"),
    ("{", "not JSON"),
    ("[1]", '"cluster" and a "task"'),
    (json.dumps({"cluster": {"worker": ["a:1"]}}), '"cluster" and a "task"'),
    (json.dumps({**_EXAMPLE, "cluster": {"worker": ["a"]}}), "HOST:PORT, not 'a'"),
    (json.dumps({**_EXAMPLE, "cluster": {"worker": "a:1"}}), "list of HOST:PORT"),
    (json.dumps({**_EXAMPLE, "cluster": {"worker": ["a:1", "a:1"]}}), "twice"),
    (json.dumps({**_EXAMPLE, "cluster": {"ps": ["a:1"]}}), "not 'ps'"),
    (json.dumps({**_EXAMPLE, "cluster": {"chief": ["a:1", "b:1"]}}), "one chief"),
    (json.dumps({**_EXAMPLE, "task": {"type": "chief", "index": 0}}), "not 'chief'"),
    (json.dumps({**_EXAMPLE, "task": {"type": "worker", "index": 2}}), "0 to 1, not 2"),
])
def test_a_wrong_tf_config_gives_one_clear_error(text, message):
    with pytest.raises(ValueError, match=message) as error:
        cluster.checked_config(text)
    assert str(error.value).endswith(f"Received: TF_CONFIG={text!r}")
    assert cluster.checked_config(json.dumps(_EXAMPLE)) == _EXAMPLE


def test_the_command_refuses_a_wrong_cluster_in_one_line(recipe_of, tmp_path, monkeypatch, capsys):
    command = ["pretrain", str(recipe_of("rotation", 1)), "--out", str(tmp_path / "run")]
    monkeypatch.setenv("TF_CONFIG", '{"cluster": 3}')
    assert cli.main([*command, "--strategy", "multi-worker"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main([*command, "--strategy", "data-parallel"]) == 2
    assert "KERAS_BACKEND=jax" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_host_that_fails_or_sees_another_folder_ends_the_start(tmp_path, monkeypatch):
    class Two(cluster.Cluster):
        chief, index, count = False, 1, 2
        others = 0

        def total(self, number):
            return number + self.others

    two = Two()
    assert two.together(lambda: 5) == 5
    with pytest.raises(OSError, match="no disk"):
        two.together(lambda: (_ for _ in ()).throw(OSError("no disk")))
    two.others = 1
    with pytest.raises(ValueError, match="another host could not go on"):
        two.together(lambda: 5)
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)
    with pytest.raises(ValueError, match="shared file system"):
        two.awaited(tmp_path / "recipe.json")


_ONE = "from keras_pretext.training import train; import sys; train(*sys.argv[1:], progress=False)"


def test_a_killed_process_of_jax_comes_back_and_two_end_as_one(recipe_of, tmp_path):
    pytest.importorskip("jax")
    recipe, one, two = recipe_of("rotation", 5, "train"), tmp_path / "one", tmp_path / "two"
    on_jax = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    pair = Pair(tmp_path, "-m", "keras_pretext.cli", "pretrain", recipe, "--out", two,
                "--strategy", "data-parallel", **on_jax)
    try:
        pair.wait_for(lambda: checkpoints(two) > 0)
        pair.processes[0].kill()  # the first: without it the others are aborted
        pair.processes[0].wait()
        assert not (two / "final").exists()
        pair.start(0)
        subprocess.run([sys.executable, "-c", _ONE, recipe, one], check=True, timeout=900,
                       env={**os.environ, **on_jax})
    finally:
        codes = pair.ended()
    assert codes == [0, 0], pair.output()
    assert "another host is lost" in (tmp_path / "output1").read_text()
    same_weights(one, two)
    assert sorted(set(steps_of(two))) == sorted(set(steps_of(one)))
    ours, theirs = (json.loads((out / "final" / "metrics.json").read_text()) for out in (one, two))
    for name in ("loss", "accuracy", "test_loss", "test_accuracy"):
        assert abs(ours[name] - theirs[name]) < 1e-4, name
    manifest = json.loads((two / "manifest.json").read_text())
    assert manifest["replicas"] == 2 and manifest["resumed_at"] > 0


_DEVICES = """
import sys
import jax
from keras_pretext.training import cluster, load_recipe, train
assert len(jax.devices()) == 2
for path in sys.argv[1:]:
    recipe = load_recipe(path)
    train(recipe, path + ".one", progress=False)
    for steps in (5, None):
        strategy = cluster.data_parallel()
        train(recipe, path + ".two", strategy=strategy, progress=False, max_steps=steps)
"""


@pytest.mark.slow
def test_two_devices_on_jax_end_as_one(recipe_of, tmp_path):
    pytest.importorskip("jax")
    recipes = [recipe_of("rotation", 2, "train"), recipe_of("noise_targets", 1, dim=16, every=1)]
    done = subprocess.run(
        [sys.executable, "-c", _DEVICES, *recipes], text=True, capture_output=True, timeout=900,
        env={**os.environ, "KERAS_BACKEND": "jax",
             "XLA_FLAGS": "--xla_force_host_platform_device_count=2"})
    assert done.returncode == 0, done.stderr[-3000:]
    for recipe in recipes:
        same_weights(f"{recipe}.one", f"{recipe}.two")
        manifest = json.loads((tmp_path / f"{recipe.name}.two" / "manifest.json").read_text())
        assert manifest["replicas"] == 2
    assert load_recipe(recipes[0]).fingerprint() == load_recipe(
        tmp_path / f"{recipes[0].name}.two").fingerprint()
