"""The client, against a reference server and against TF Serving itself where it is installed."""

import http.server
import io
import json
import socket
import threading
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from keras_pretext.serving import Client, client

Failure = pytest.importorskip("reference_server").Failure


@pytest.fixture
def ask(url):
    """A client of version 1."""
    with Client(url, "tiny", version=1, timeout=120, batch_size=4) as out:
        yield out


def png(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def pooled(model, images):
    maps = model.backbone(np.stack(images), training=False)
    return {tap: np.asarray(x).mean((1, 2)) for tap, x in maps.items()}


def close(found, expected, tolerance=1e-5):
    for tap, value in expected.items():
        np.testing.assert_allclose(found[tap], value, atol=tolerance * np.abs(value).max())


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def only_reference(url, reference):
    if url not in reference.urls.values():
        pytest.skip("TF Serving does not fail on command")


def test_pictures_of_every_kind_in_their_order(ask, models, pictures, tmp_path):
    (tmp_path / "a.png").write_bytes(png(pictures[0]))
    kinds = [tmp_path / "a.png", png(pictures[1]), pictures[2], Image.fromarray(pictures[3]),
             str(tmp_path / "a.png"), bytearray(png(pictures[5])), pictures[6]]
    images = [*pictures[:4], pictures[0], *pictures[5:]]
    ask.batch_size, ask.concurrency = 2, 3
    found = ask.predict(iter(kinds))
    assert found["valid"].all() and found["block1"].dtype == np.float32
    close(found, pooled(models[1][0], images))
    found = ask.predict(kinds, "images")
    assert set(found) == {"block1", "block2"}
    close(found, pooled(models[1][0], images))
    one = ask.predict(kinds[0])
    assert one["block1"].shape == (1, 96)
    close(one, pooled(models[1][0], images[:1]))


def test_versions_and_labels(url, models, pictures):
    answers = {}
    for where in ({"version": 1}, {"label": "stable"}, {"version": 2}, {"label": "canary"}, {}):
        with Client(url, "tiny", timeout=120, **where) as found:
            assert found.ready()
            answers[str(where)] = found.predict(pictures[:2])
    for k, answer in enumerate(answers.values()):
        close(answer, pooled(models[1 if k < 2 else 2][0], pictures[:2]))


def test_maps_and_sizes(ask, models, pictures):
    found = ask.predict(pictures[:3], "features")
    close(found, {k: np.asarray(v) for k, v in models[1][0].backbone(
        np.stack(pictures[:3]), training=False).items()})
    wide = np.concatenate([pictures[0]] * 2, 1)
    mixed = [pictures[0], wide, pictures[1]]
    close(ask.predict(mixed, "images"), {"block1": np.concatenate(
        [pooled(models[1][0], [one])["block1"] for one in mixed])})
    with pytest.raises(ValueError, match="another shape for each size.*stream"):
        ask.predict(mixed, "features")
    assert [one["block1"].shape for one in ask.stream(mixed, "features")] == [
        (16, 16, 96), (16, 32, 96), (16, 16, 96)]


def test_the_embedding_is_float16_over_both_interfaces(ask, models, pictures):
    found = ask.predict(pictures, "embedding")["embedding"]
    vectors = pooled(models[1][0], pictures)["block2"]
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
                               atol=1e-3)


def test_nothing_gives_nothing(ask):
    for signature, shape in (("serving_default", (0, 192)), ("features", (0, 0, 0, 192))):
        assert ask.predict([], signature)["block2"].shape == shape
    assert [*ask.stream([])] == []


def test_signatures_and_contract(ask):
    known = ask.signatures()
    assert set(known) == {"serving_default", "images", "features", "embedding",
                          "embedding_float32", "metadata"}
    assert known["features"] == {"inputs": {"images": ("uint8", (-1, -1, -1, 3))},
                                 "outputs": {"block1": ("float32", (-1, -1, -1, 96)),
                                             "block2": ("float32", (-1, -1, -1, 192))}}
    assert known["embedding"]["outputs"] == {"embedding": ("float16", (-1, 192)),
                                             "valid": ("bool", (-1,))}
    contract = ask.contract()
    assert contract["name"] == "tiny@1" and contract["taps"]["block2"]["channels"] == 192


def test_a_bad_picture_is_named(ask, models, pictures, tmp_path):
    mixed = [pictures[0], png(pictures[1])[:-200], pictures[2], b""]
    ask.batch_size = 1
    with pytest.raises(client.BadPicture, match="cannot read.*Received: picture 1") as raised:
        ask.predict(mixed)
    assert raised.value.index == 1
    for size in (1, 4):
        ask.batch_size = size
        found = ask.predict(mixed, on_bad="keep")
        assert found["valid"].tolist() == [True, False, True, False]
        assert not found["block2"][[1, 3]].any()
        close({k: v[[0, 2]] for k, v in found.items()},
              pooled(models[1][0], [pictures[0], pictures[2]]))
    for bad, words in ((tmp_path / "none.png", "No such file.*picture 1"),
                       (pictures[0].astype("float32"), "picture 1, float32"),
                       (pictures[0][..., 0], r"picture 1, uint8 \(32, 32\)"),
                       (5, "picture 1, int")):
        for signature in ("serving_default", "images"):
            with pytest.raises(client.BadPicture, match=words):
                ask.predict([pictures[0], bad], signature)
    with pytest.raises(client.BadPicture, match="not a readable picture.*picture 0"):
        ask.predict([b"no picture"], "images")


def test_unknown_model_version_label_and_signature(url, pictures):
    for options in ({"model": "none"}, {"model": "tiny", "version": 9},
                    {"model": "tiny", "label": "none"}):
        with Client(url, **options, retries=0) as ask:
            assert not ask.ready()
            with pytest.raises(client.UnknownModel, match="Received"):
                ask.predict(pictures[:1])
    with Client(url, "tiny") as ask, pytest.raises(client.UnknownSignature,
                                                   match="Did you mean 'embedding'.*embeding"):
        ask.predict(pictures[:1], "embeding")


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_busy_server_is_asked_again(ask, url, reference, models, pictures, code, monkeypatch):
    only_reference(url, reference)
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    ask.signatures()
    busy = Failure(code, "The batch scheduling queue to which this task was submitted is full")
    reference.failures = [busy] * 3
    close(ask.predict(pictures[:1]), pooled(models[1][0], pictures[:1]))
    assert reference.requests == 4
    ask.retries, reference.failures = 2, [busy] * 9
    with pytest.raises(client.ServerBusy, match="queue.*is full"):
        ask.predict(pictures[:1])
    assert reference.requests == 7
    monkeypatch.setattr(client, "_FIRST_WAIT", 200)
    monkeypatch.setattr(client, "_LONGEST_WAIT", 200)
    ask.retries = 9
    with pytest.raises(client.DeadlinePassed, match="after 1 tries; the last: the server is busy"):
        ask.predict(pictures[:1], timeout=60)


def test_other_failures_are_not_repeated(ask, url, reference, pictures):
    only_reference(url, reference)
    ask.signatures()
    reference.failures = [Failure("INTERNAL", "something broke")]
    with pytest.raises(client.RequestRefused, match="something broke"):
        ask.predict(pictures[:1])
    assert reference.requests == 1
    ask.batch_size = 7
    with pytest.raises(client.RequestRefused, match="larger than maximum input batch size 4"):
        ask.predict(pictures)


def test_a_deadline_holds(ask, url, reference, pictures):
    only_reference(url, reference)
    ask.predict(pictures[:1])
    reference.delay, start = 3.0, time.monotonic()
    with pytest.raises(client.DeadlinePassed, match="no answer in time"):
        ask.predict(pictures[:1], timeout=0.5)
    assert time.monotonic() - start < 2.0
    reference.delay = 0.0
    ask.predict(pictures[:1])
    with pytest.raises(ValueError, match="positive number of seconds. Received: 0"):
        ask.predict(pictures[:1], timeout=0)


def test_pictures_are_taken_no_faster_than_answers_come(ask, url, reference, pictures):
    only_reference(url, reference)
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield pictures[taken % 7]

    ask.batch_size, ask.concurrency, reference.delay = 2, 3, 0.05
    stream = ask.stream(endless())
    for _ in range(8):
        next(stream)
    stream.close()
    assert taken <= 8 + (3 + 1) * 2 + 1
    assert 2 <= reference.most_at_once <= 3


def test_a_connection_that_the_server_ended_is_opened_anew(reference, pictures):
    with Client(reference.urls["rest"], "tiny", retries=0) as ask:
        ask.predict(pictures[:1])
        idle, = ask._transport.idle
        idle.sock.shutdown(socket.SHUT_RDWR)
        ask.predict(pictures[:1])
        ask.predict(pictures[:1])
        assert len(ask._transport.idle) == 1
    assert not ask._transport.idle


@pytest.mark.parametrize("url, address", [
    ("grpc://[::1]:33755", "[::1]:33755"), ("grpc://[::1]", "[::1]:8500"),
    ("grpc://host", "host:8500"), ("grpc://127.0.0.1:9", "127.0.0.1:9")])
def test_addresses_of_grpc(url, address):
    pytest.importorskip("grpc")
    with Client(url, "tiny") as ask:
        assert ask._transport.address == address



@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_no_server(closed_port, pictures, scheme):
    address = f"{scheme}://127.0.0.1:{closed_port}"
    with Client(address, "tiny", retries=1) as ask:
        assert not ask.ready()
        with pytest.raises(client.Unreachable, match=f"no server answers at {address}"):
            ask.predict(pictures[:1])


def test_something_else_answers(pictures):
    class Page(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}", "tiny") as ask, pytest.raises(
                client.RequestRefused, match="<html>hello"):
            ask.predict(pictures[:1])
        server.shutdown()


def test_rows_and_columns_as_the_readme_sends_them(url, models, pictures):
    """Without the client: JSON as TF Serving's page says it."""
    if url.startswith("grpc"):
        pytest.skip("this is of REST")
    import base64

    encoded = [{"b64": base64.b64encode(png(image)).decode()} for image in pictures[:2]]
    expected = pooled(models[1][0], pictures[:2])
    for body, read in (
            ({"instances": encoded}, lambda a: [row["block1"] for row in a["predictions"]]),
            ({"instances": [{"bytes": one} for one in encoded]},
             lambda a: [row["block1"] for row in a["predictions"]]),
            ({"inputs": {"bytes": encoded}}, lambda a: a["outputs"]["block1"]),
            ({"inputs": encoded}, lambda a: a["outputs"]["block1"]),
            ({"inputs": [image.tolist() for image in pictures[:2]], "signature_name": "images"},
             lambda a: a["outputs"]["block1"])):
        with urllib.request.urlopen(f"{url}/v1/models/tiny/labels/stable:predict",
                                    json.dumps(body).encode(), timeout=120) as answer:
            close({"block1": read(json.load(answer))}, {"block1": expected["block1"]})


@pytest.mark.parametrize("options, words", [
    ({"url": "localhost:8501"}, "begins with http://.*'localhost:8501'"),
    ({"version": 1, "label": "stable"}, "a number or a label"), ({"version": "1"}, "whole number"),
    ({"retries": -1}, "retries"), ({"batch_size": 0}, "batch_size"), ({"timeout": 0}, "timeout"),
    ({"concurrency": 0}, "concurrency")])
def test_arguments_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        Client(**{"url": "http://localhost", "model": "m", **options})


def test_what_pictures_are(reference):
    with Client(reference.urls["rest"], "tiny") as ask:
        with pytest.raises(ValueError, match="pictures are paths.*Received: int"):
            ask.predict(5)
        with pytest.raises(ValueError, match="'raise' or 'keep'"):
            ask.predict([], on_bad="skip")


def test_the_client_needs_no_tensorflow(reference, tmp_path, pictures):
    """In a process where importing TensorFlow or Keras fails."""
    import subprocess
    import sys

    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    code = ("import sys\n"
            "for name in ('tensorflow', 'keras', 'jax'): sys.modules[name] = None\n"
            "from keras_pretext.serving import Client\n"
            "for url in sys.argv[2:]:\n"
            "    with Client(url, 'tiny') as ask:\n"
            "        print(ask.predict(sys.argv[1], 'embedding')['embedding'].shape)\n"
            "        print(ask.predict(sys.argv[1], 'images')['block1'].shape)\n")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png"),
                           *reference.urls.values()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:4] == ["(1, 96)", "(1, 96)"] * 2
