"""Two input servers in processes of their own give what the local pipeline gives, to the bit."""

import functools
import io
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pretext import data, tasks
from keras_pretext.data import pipeline as pipelines
from keras_pretext.data import records, service
from keras_pretext.data.arrays import ArraySource
from keras_pretext.training import Recipe, Trainer, load_recipe

NETWORK = ("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16})


def free_port():
    """One whose next is free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
            if port == 65535:
                continue
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except OSError:
                continue
            return port


class Server:
    """The command in a process of its own."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keras_pretext.cli", "input-server", "--port", str(self.port)],
            stdout=subprocess.PIPE, text=True)

    def ready(self):
        assert f"127.0.0.1:{self.port}" in self.process.stdout.readline()
        return f"127.0.0.1:{self.port}"

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=120)


@pytest.fixture(scope="module")
def pair():
    servers = [Server(), Server()]
    try:
        yield [server.ready() for server in servers]
        assert [server.stop() for server in servers] == [0, 0]
    finally:
        for server in servers:
            server.process.kill()


def jpegs(folder, rng, count=24):
    for k in range(count):
        height, width = rng.integers(100, 140, 2)
        pixels = rng.integers(0, 256, (height // 4, width // 4, 3)).astype("uint8")
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        for kind in range(2):
            path = folder / f"{kind}" / f"{k:03d}.jpg"
            path.parent.mkdir(exist_ok=True)
            picture.rotate(90 * kind).save(path, quality=90)
    return data.open(f"folder:{folder}")


def same(streams):
    count = 0
    for one, other in zip(*streams, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
        count += 1
    return count


@pytest.mark.parametrize("kind, task, options", [
    ("files", "rotation", {"image_size": 32}), ("files", "jigsaw", {}),
    ("files", "noise_targets", {"image_size": 32}), ("arrays", "rotation", {"image_size": 32}),
    ("arrays", "classification", {"num_classes": 5})])
def test_the_stream_is_the_local_one(pair, rng, tmp_path, kind, task, options):
    source = jpegs(tmp_path, rng) if kind == "files" else ArraySource(
        rng.integers(0, 256, (48, 120, 120, 3)).astype("uint8"), np.arange(48) % 5)
    assert pipelines.held_in_memory(source) == (kind == "arrays")
    layer = tasks.get(task, **options).layer()
    service.check(pair, source, layer, 16)
    whole = pipelines.WHOLE
    for start, share in ((0, whole), (2, whole), (7, (range(1, 3), 4))):  # three steps an epoch
        make = functools.partial(pipelines.pipeline, source, layer, 16, 3, start)
        joined = service.joined(make, pair, share, 4).as_numpy_iterator()
        assert same((make(steps=4, share=share).as_numpy_iterator(),
                     service.watched(joined, pair, 4 * len(share[0])))) == 4 * len(share[0])


def recipe_of(npz, task="rotation", **options):
    return Recipe(name="served", task=(task, {"image_size": 16, **options}), backbone=NETWORK,
                  data=f"npz:{npz}", test_split=None, epochs=2, batch_size=24, learning_rate=0.01)


def same_checkpoints(one, other):
    one, other = (sorted((out / "checkpoints").glob("*.npz"))[-1] for out in (one, other))
    with np.load(one) as ours, np.load(other) as theirs:
        assert ours.files == theirs.files
        for name in ours.files:
            if name != "state":  # it holds the seconds
                np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize("task, options", [
    ("rotation", {}), ("noise_targets", {"dim": 16, "every": 1}),
    ("deep_cluster", {"clusters": 6, "pca": 8})])
def test_a_training_with_servers_is_the_one_without(pair, npz, tmp_path, task, options):
    recipe = recipe_of(npz, task, **options)
    Trainer(recipe, tmp_path / "one", progress=False).run()
    for steps in (3, None):  # interrupted within an epoch, and resumed
        Trainer(recipe, tmp_path / "two", progress=False, max_steps=steps,
                input_servers=pair).run()
    same_checkpoints(tmp_path / "one", tmp_path / "two")


_TWO_DEVICES = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_pretext.training import train
recipe, out, *servers = sys.argv[1:]
for name, servers in (("one", ()), ("two", servers)):
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    train(recipe, out + name, strategy=strategy, progress=False, input_servers=servers)
"""
_RECIPE = """
from keras_pretext.training import Recipe
recipe = Recipe(name="served", task=("rotation", dict(image_size=16)), backbone={network},
                data="npz:{npz}", test_split=None, epochs=2, batch_size=24, learning_rate=0.01)
"""


@pytest.mark.slow
def test_two_devices_of_a_host_share_what_servers_give(pair, npz, tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(_RECIPE.format(network=NETWORK, npz=npz))
    subprocess.run([sys.executable, "-c", _TWO_DEVICES, path, f"{tmp_path}/", *pair], check=True,
                   timeout=900)
    same_checkpoints(tmp_path / "one", tmp_path / "two")


def test_a_lost_server_ends_the_command_and_the_same_resumes(npz, tmp_path):
    out, path, servers = tmp_path / "two", tmp_path / "recipe.py", [Server()]
    path.write_text(_RECIPE.format(network=NETWORK, npz=npz).replace("epochs=2", "epochs=40"))
    command = [sys.executable, "-m", "keras_pretext.cli", "pretrain", path, "--out", out,
               "--input-servers", servers[0].ready()]
    try:
        first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while not [*(out / "checkpoints").glob("*.npz")]:
            assert first.poll() is None
            time.sleep(0.05)
        servers[0].stop(signal.SIGKILL)
        error = first.communicate(timeout=300)[1]
        assert first.returncode == 2 and "an input server does not answer. Start it" in error
        servers.append(Server(servers[0].port))
        servers[1].ready()
        subprocess.run(command, check=True)
        assert servers[1].stop() == 0
    finally:
        for one in servers:
            one.process.kill()
    Trainer(load_recipe(path), tmp_path / "one", progress=False).run()
    same_checkpoints(tmp_path / "one", out)


def test_a_server_begun_anew_is_noticed(npz, tmp_path):
    class Killing:
        def on_log(self, trainer, row):
            servers[0].stop(signal.SIGKILL)
            servers.append(Server(servers[0].port))
            servers[-1].ready()

    servers = [Server()]
    try:
        with pytest.raises(RuntimeError, match="begun anew"):
            Trainer(recipe_of(npz).replace(epochs=10), tmp_path / "run", callbacks=[Killing()],
                    progress=False, input_servers=[servers[0].ready()]).run()
    finally:
        for one in servers:
            one.process.kill()


@pytest.mark.parametrize("wrong", [False, True])
def test_a_batch_of_another_step_is_refused(rng, monkeypatch, wrong):
    source = ArraySource(rng.integers(0, 256, (48, 40, 40, 3)).astype("uint8"))
    layer = tasks.get("rotation", image_size=32).layer()
    monkeypatch.setattr(tf.data.experimental.service, "distribute",
                        lambda *_, **__: lambda part: part.skip(int(wrong)))
    monkeypatch.setattr(service, "_answering", lambda servers: None)
    make = functools.partial(pipelines.pipeline, source, layer, 16, 3, 0)
    batches = service.watched(service.joined(make, ["a:1", "b:1"]), ["a:1", "b:1"])
    if wrong:
        with pytest.raises(RuntimeError, match="another stream or step"):
            next(batches)
    else:
        next(batches)


def test_what_servers_cannot_do_is_refused_before_anything_is_sent(rng, tmp_path, npz,
                                                                    monkeypatch):
    layer = tasks.get("rotation", image_size=32).layer()
    arrays = ArraySource(rng.integers(0, 256, (48, 40, 40, 3)).astype("uint8"))
    nobody = f"127.0.0.1:{free_port()}"

    def refused(message, servers, source=arrays, batch_size=16, replicas=1, kind=ValueError):
        with pytest.raises(kind, match=message):
            service.check(servers, source, layer, batch_size, replicas)

    refused("HOST:PORT. Received: 'host-c'", ["host-c"])
    refused("stands there twice", [nobody, nobody])
    refused(r"2 \* 3. Received: 16", ["a:1", "b:1", "c:1"], replicas=2)
    refused(f"keras-pretext input-server.*Received: {nobody}", [nobody], kind=RuntimeError)
    (tmp_path / "files").mkdir()
    source = jpegs(tmp_path / "files", rng, 4)
    refused(nobody, [nobody], source, kind=RuntimeError)  # as far as the connection
    picture = Image.fromarray(rng.integers(0, 256, (90, 80, 3)).astype("uint8"))
    picture.save(tmp_path / "files" / "0" / "picture.png")
    refused("plain JPEG files.*Received: 'folder:", [nobody], data.open(
        f"folder:{tmp_path / 'files'}"))
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(source.paths))
    refused("Received: 'paths:", [nobody], data.open(f"paths:{listed}"))
    with tf.io.TFRecordWriter(str(tmp_path / "some.tfrecord")) as writer:
        for size in (60, 70):
            out = io.BytesIO()
            picture.resize((size, size)).save(out, "JPEG")
            writer.write(tf.train.Example(features=tf.train.Features(feature={
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(
                    value=[out.getvalue()]))})).SerializeToString())
    name = f"tfrecord:{tmp_path / 'some.tfrecord'}"
    refused(nobody, [nobody], data.open(name), kind=RuntimeError)  # small: held in memory
    monkeypatch.setattr(records, "MEMORY", 0)
    refused("TFRecords of at most 512 MB", [nobody], data.open(name))
    with pytest.raises(RuntimeError, match="does not answer"):
        Trainer(recipe_of(npz), tmp_path / "run", progress=False, input_servers=[nobody])


def test_a_server_without_a_name_serves_this_machine_only(tmp_path):
    with socket.create_server(("", 0)) as open_to_all:
        port = open_to_all.getsockname()[1]
        assert open_to_all.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b""
        service._only_loopback(port)
        assert open_to_all.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)[:2] == b"lo"
        socket.create_connection(("127.0.0.1", port), 5).close()
        with pytest.raises(ValueError, match=f"{port}, and {port} cannot be had"):
            service.serve(port=port)
    with pytest.raises(ValueError, match="port is not found"):
        service._only_loopback(port)
    with pytest.raises(ValueError, match="1 to 65534. Received: 65535"):
        service.serve(port=65535)
