"""A bundle of two versions of a tiny model, and servers of it: ours, and the real one if there."""

import shutil
import socket
import subprocess
import time

import numpy as np
import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """`{version: (PretextModel, folder of its zoo entry)}`."""
    import keras

    from keras_pretext import backbones, tasks, zoo

    out, root = {}, tmp_path_factory.mktemp("zoo")
    for version in (1, 2):
        keras.utils.set_random_seed(version)
        model = tasks.get("rotation").attach(backbones.get("network_in_network", blocks=2))
        card = {"licence": "none", "metrics": [] if version == 1 else [
            {"protocol": "gidaris2018-linear", "settings": {"weights_from": by}, "taps": {
                tap: {"last_mean": mean, "best_mean": mean, "last_std": 0.0}
                for tap, mean in (("block1", 0.2), ("block2", second))}}
            for by, second in (("this entry", 0.1), ("random", 0.9))]}
        folder = zoo.publish(model, "tiny", root=root, card=card, saved_model=False)
        out[version] = zoo.load(folder), folder
    return out


@pytest.fixture(scope="session")
def bundle(models, tmp_path_factory):
    from keras_pretext.serving import serve_bundle

    out = tmp_path_factory.mktemp("served") / "bundle"
    return serve_bundle([folder for _, folder in models.values()], out, base=str(out),
                        batch_sizes=(1, 2, 4))


@pytest.fixture(scope="session")
def reference(bundle):
    pytest.importorskip("grpc")
    from reference_server import Server

    server = Server(bundle)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def real(bundle):
    """Addresses of `tensorflow_model_server`, started with the bundle's own files."""
    from keras_pretext.serving.bundle import OPTIONS

    if not shutil.which("tensorflow_model_server"):
        pytest.skip("no tensorflow_model_server on the PATH")
    ports = {}
    for kind in ("grpc", "rest"):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            ports[kind] = taken.getsockname()[1]
    process = subprocess.Popen(
        ["tensorflow_model_server", f"--port={ports['grpc']}", f"--rest_api_port={ports['rest']}",
         *(option.format(bundle) for option in OPTIONS)])
    from keras_pretext.serving import Client

    urls = {"rest": f"http://127.0.0.1:{ports['rest']}",
            "grpc": f"grpc://127.0.0.1:{ports['grpc']}"}
    with Client(urls["rest"], "tiny") as client:
        for _ in range(600):
            if client.ready():
                break
            assert process.poll() is None, "tensorflow_model_server ended"
            time.sleep(0.1)
    yield urls
    process.terminate()
    process.wait()


@pytest.fixture(params=["reference-rest", "reference-grpc", "real-rest", "real-grpc"])
def url(request):
    """The address of a server, over each interface."""
    server, interface = request.param.split("-")
    if server == "real":
        return request.getfixturevalue("real")[interface]
    server = request.getfixturevalue("reference")
    while server.at_once:  # requests that a test before gave up
        time.sleep(0.02)
    server.failures, server.delay, server.requests, server.most_at_once = [], 0.0, 0, 0
    return server.urls[interface]


@pytest.fixture
def pictures():
    """Smooth uint8 pictures of 32 pixels, each another."""
    y, x = np.mgrid[:32, :32]
    return [(127 + 60 * np.stack([np.sin(x / (3 + k)), np.cos(y / 7 + k), np.sin((x + y) / 9 - k)],
                                 -1)).astype("uint8") for k in range(7)]
