"""The explorer served: what it answers to requests, and how it is in a browser."""

import http.client
import json
import re
import socket
import sys
import threading
import time

import keras
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image

from keras_pretext import backbones, cli, tasks, zoo
from keras_pretext.explore import app as explorer_app
from keras_pretext.explore import server as servers
from keras_pretext.tasks.base import registry

needs_gradio = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("gradio"),
    reason="no Gradio: pip install 'keras_pretext[explore]'")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
SECRET = "what nobody was to read"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of pictures, a link in it to a file outside, a zoo entry."""
    place = tmp_path_factory.mktemp("explored")
    rng = np.random.default_rng(0)
    (place / "pictures").mkdir()
    for k in range(8):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype("uint8")).save(
            place / "pictures" / f"{k}.png")
    (place / "secret.txt").write_text(SECRET)
    (place / "pictures" / "secret.png").symlink_to(place / "secret.txt")
    keras.utils.set_random_seed(0)
    zoo.publish(tasks.get("rotation").attach(backbones.get("network_in_network", blocks=2)),
                "tiny", root=place / "zoo", saved_model=False)
    return place


class Watch:
    """What the threads of the server open and whom they connect to, from `on` to `off`."""

    def __init__(self):
        self.on, self.threads, self.opened, self.connected = False, (), [], []
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if not self.on or threading.current_thread() is threading.main_thread():
            return
        if event == "open":
            self.opened.append(str(arguments[0]))
        elif event == "socket.connect":
            self.connected.append(str(arguments[1]))
        elif event == "socket.getaddrinfo":
            self.connected.append(str(arguments[0]))


@pytest.fixture(scope="module")
def watch():
    return Watch()


@pytest.fixture(scope="module")
def served(place, watch):
    """The port of a running explorer of that folder and of the scenes."""
    pytest.importorskip("gradio")
    import uvicorn

    kept, said = [], []

    class Kept(uvicorn.Server):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            kept.append(self)

    patch = pytest.MonkeyPatch()
    patch.setattr(uvicorn, "Server", Kept)
    patch.setattr(servers, "gradio", servers.gradio)
    thread = threading.Thread(target=servers.serve, kwargs={
        "data": [str(place / "pictures"), "scenes"], "models": [str(place / "zoo" / "tiny")],
        "port": 0, "images": 12, "say": said.append}, daemon=True)
    watch.on = True
    thread.start()
    while thread.is_alive() and not (kept and kept[0].started):
        time.sleep(0.1)
    patch.undo()
    assert kept and kept[0].started
    yield int(said[0].split(":")[2].split()[0])
    kept[0].should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def ask(port, path, method="GET", body=None, host=None, at="127.0.0.1"):
    """The status and the body of a request whose path is sent as it is."""
    connection = http.client.HTTPConnection(at, port, timeout=60)
    connection.putrequest(method, path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    if body is not None:
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text, dict(answer.getheaders())


@needs_gradio
def test_no_file_is_served(served, place):
    inside = str(place / "pictures" / "0.png")
    secret = str(place / "secret.txt")
    up = "/".join([".."] * 12)
    paths = [f"/gradio_api/file{mark}{path}" for mark in ("=", "/") for path in (
        inside, secret, str(place / "pictures" / "secret.png"), "/etc/passwd", "/proc/self/environ",
        f"{up}{secret}", "pictures/secret.png")]
    paths += [f"{start}{turn}{secret}" for start in ("/static/", "/assets/", "/svelte/", "/")
              for turn in (up, up.replace("..", "%2e%2e"), up.replace("/", "%2f"), "",
                           up.replace("..", "%252e%252e"), up.replace("/", "\\"))]
    paths += [f"/gradio_api/file=http://127.0.0.1:{served}/", "/gradio_api/upload",
              f"/gradio_api/proxy=http://127.0.0.1:{served}/", "/docs", "/openapi.json",
              "/monitoring", "/gradio_api/vibe-code", "/gradio_api/runs", "/gradio_api/mcp",
              f"/gradio_api/custom_component/0/client/component/{secret}"]
    for path in paths:
        for method in ("GET", "POST"):
            status, body, _ = ask(served, path, method, b"{}" if method == "POST" else None)
            assert status in (400, 403, 404, 405), (method, path, status)
            assert SECRET.encode() not in body and b"root:" not in body, path


@needs_gradio
def test_the_page_may_load_nothing_from_elsewhere(served):
    status, body, headers = ask(served, "/")
    assert status == 200 and b"gradio" in body
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy and "*" not in policy
    assert not re.search(rb"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", body)


@needs_gradio
def test_only_loopback_names_reach_it(served):
    for host in ("evil.example", f"evil.example:{served}", "127.0.0.1.evil.example", ""):
        assert ask(served, "/config", host=host)[0] == 404, host
    for host in (f"127.0.0.1:{served}", f"localhost:{served}", "localhost"):
        assert ask(served, "/config", host=host)[0] == 200, host
    with pytest.raises(OSError):  # another address of this machine
        socket.create_connection(("127.0.0.2", served), timeout=5)


def asking(port, **changes):
    """A connection by which the page's main function was asked, with a message made by hand."""
    config = json.loads(ask(port, "/config")[1])
    one = max(config["dependencies"], key=lambda d: len(d["inputs"]))
    values = {"data": None, "k": 0, "view": "Puzzle", "task": "rotation", "seed": 0,
              "model": "tiny", "turns": False, "left": 25, "top": 25, "side": 50, **changes}
    if values["data"] is None:
        values["data"] = next(c["props"]["value"] for c in config["components"]
                              if c["props"].get("elem_id") == "data")
    body = json.dumps({"data": [*values.values()], "fn_index": one["id"],
                       "session_hash": "by_hand"}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/gradio_api/run/predict", body,
                       {"Content-Type": "application/json"})
    return connection


def called(port, **changes):
    """Whether it answers, and what."""
    connection = asking(port, **changes)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status == 200, text


@needs_gradio
def test_every_request_has_its_own_answer(served):
    """Gradio's queue loses what is asked while it closes a stream: the page waited for ever."""
    asked = json.loads(ask(served, "/config")[1])["dependencies"]
    assert len(asked) == 4 and not any(one["queue"] for one in asked)
    for path in ("join", "data?session_hash=x"):
        assert ask(served, f"/gradio_api/queue/{path}")[0] == 404


@needs_gradio
def test_messages_made_by_hand_reach_nothing_else(served, place):
    done, text = called(served)
    assert done and "<img" in text
    secret = str(place / "secret.txt")
    for change in ({"data": str(place)}, {"data": secret}, {"task": "../../secret"},
                   {"model": secret, "view": "Filters"}, {"view": secret}, {"seed": "x"},
                   {"k": {"path": secret, "meta": {"_type": "gradio.FileData"}}},
                   {"view": [secret]}, {"seed": {"path": str(place / "pictures" / "0.png")}}):
        done, text = called(served, **change)
        assert not done and SECRET not in text, change
    assert called(served, seed=1)[0]


@needs_gradio
def test_one_at_a_time_and_none_for_a_page_that_is_closed(served, monkeypatch):
    shown, now = [], []

    def show(self, *controls):
        now.append(controls)
        shown.append((controls[4], len(now)))
        time.sleep(1)
        now.pop()
        return "<p>here</p>"

    monkeypatch.setattr(explorer_app.Explorer, "show", show)
    threads = [threading.Thread(target=called, args=(served,), kwargs={"seed": 1})]
    threads[0].start()
    while not shown:
        time.sleep(0.01)
    gone = [asking(served, seed=2) for _ in range(5)]
    time.sleep(0.3)
    for connection in gone:
        connection.close()
    time.sleep(0.1)
    threads += [threading.Thread(target=called, args=(served,), kwargs={"seed": 3})
                for _ in range(2)]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown == [(1, 1), (3, 1), (3, 1)]


def choose(browser, control, value):
    """Sets a slider, as its number's field does."""
    browser.run(f"""(() => {{
      const field = document.querySelector("#{control} input[type=number]");
      field.value = {value};
      for (const name of ["input", "change", "blur"])
        field.dispatchEvent(new Event(name, {{bubbles: true}}));
    }})()""")


def look_at(browser, view):
    """Clicks until the view is chosen: pictures that come in may move it from under the mouse."""
    label = ("[...document.querySelectorAll('#view label')]"
             f".find(e => e.innerText.trim() === '{view}')")
    for _ in range(20):
        browser.click(label)
        time.sleep(0.2)
        if browser.run(f"{label}.querySelector('input').checked"):
            return
    raise AssertionError(f"{view!r} cannot be chosen")


def seen(browser, heading, before=None):
    """The first picture's address below a heading, once it is another than before."""
    return browser.wait(f"""(() => {{
      const h3 = document.querySelector("#figures h3");
      const img = document.querySelector("#figures img");
      return h3 && img && h3.innerText.includes({json.dumps(heading)})
        && img.src !== {json.dumps(before)} && img.src;
    }})()""")


@needs_gradio
@needs_browser
def test_in_a_browser(served, tmp_path, watch):
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(f"http://127.0.0.1:{served}/", 375, 800)
        first = seen(browser, "rotation")
        browser.click("document.querySelector('#thumbnails button[data-picture=\"3\"]')")
        other = seen(browser, "rotation", first)
        assert browser.run("document.querySelector('#picture input[type=number]').value") == "3"
        choose(browser, "seed", 7)
        drawn = seen(browser, "rotation", other)
        browser.wait("document.querySelector('#figures').innerText.includes('seed 7')")
        # another task, through the list
        browser.click("document.querySelector('#task input')")
        browser.wait("document.querySelectorAll('[role=option]').length")
        names = browser.run("[...document.querySelectorAll('[role=option]')]"
                            ".map(e => e.innerText.replace('✓', '').trim())")
        assert {*names} == {*registry.names()} - {"classification", "ensemble"}
        browser.click("[...document.querySelectorAll('[role=option]')]"
                      ".find(e => /^\\W*jigsaw/.test(e.innerText))")
        seen(browser, "jigsaw", drawn)
        assert browser.run(r"/\d+: (\d ){8}\d/.test("
                           "document.querySelector('#figures').innerText)")
        look_at(browser, "Answers")
        seen(browser, "tiny: rotation")
        assert "of 4 right" in browser.run("document.querySelector('#figures').innerText")
        assert browser.run("document.querySelectorAll('#figures td').length") == 16
        for view, heading in (("Attention", "Attention maps"), ("Filters", "Filters"),
                              ("Neighbours", "Nearest neighbours")):
            look_at(browser, view)
            seen(browser, heading)
        # other data
        assert browser.run("document.querySelectorAll('#thumbnails img').length") == 8
        browser.click("document.querySelector('#data input')")
        browser.wait("document.querySelectorAll('[role=option]').length")
        browser.click("[...document.querySelectorAll('[role=option]')]"
                      ".find(e => e.innerText.includes('scenes'))")
        browser.wait("document.querySelectorAll('#thumbnails img').length === 12")
        browser.wait("document.querySelector('#figures').innerText.includes('Of 12 pictures')")
        look_at(browser, "Colours")
        browser.wait("!!document.querySelector('#figures [role=alert]')")
        assert browser.run("[...document.images].filter(i => !i.naturalWidth).length") == 0
        assert browser.run("document.documentElement.scrollWidth") <= 375
        assert browser.run("parseFloat(getComputedStyle(document.querySelector("
                           "'#figures p')).fontSize)") >= 14
        assert not browser.complaints
        elsewhere = [url for url in browser.asked if not url.startswith(
            ("data:", "blob:", f"http://127.0.0.1:{served}/"))]
        assert len(browser.asked) > 5 and not elsewhere
    finally:
        browser.close()


@needs_browser
def test_the_browser_hears_complaints_and_requests(tmp_path):
    browser = Browser(tmp_path / "profile")
    try:
        page = ("data:text/html,<img src='http://127.0.0.1:1/x.png'>"
                "<script>console.error('oh'); none()</script>")
        browser.open(page)
        browser.wait("document.images.length && document.readyState === 'complete'")
        assert any("oh" in text for text in browser.complaints)
        assert any("none" in text for text in browser.complaints)
        assert "http://127.0.0.1:1/x.png" in browser.asked
    finally:
        browser.close()


@needs_gradio
def test_nothing_outside_was_opened_or_asked(served, place, watch):
    """After all of the above: the last of them, as it says what they did."""
    assert called(served, seed=2)[0]
    assert not [path for path in watch.opened if "secret" in path]
    assert [path for path in watch.opened if path.endswith("0.png")]
    own = ("127.0.0.1", "::1", "localhost", "None")
    assert not [to for to in watch.connected if not any(name in to for name in own)]


# -- what is wrong, told in one line -----------------------------------------------------------


def failing(capsys, *arguments):
    assert cli.main(["explore", *map(str, arguments)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("keras-pretext: ") and said.count("\n") == 1
    return said


def test_it_listens_on_loopback_unless_told():
    assert cli.parser().parse_args(["explore"]).host == "127.0.0.1"


@needs_gradio
def test_bad_inputs_are_told_in_one_line(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "Address already in use" in failing(capsys, "--port", port)
    for arguments, message in (
            (("--data", tmp_path / "empty"), "no pictures"),
            (("--data", tmp_path / "none"), "unknown data path"),
            (("--data", "scenes:32", "--images", 1, "--models", "rotnet_nim"),
             "Did you mean 'rotnet_nin'"),
            (("--data", "scenes", "--images", 0), "at least 1 picture"),
            (("--port", 70000), "0 to 65535"), (("--host", "203.0.113.1"), "cannot listen")):
        arguments = (*arguments, "--port", 0) if "--port" not in arguments else arguments
        assert message in failing(capsys, *arguments), arguments


def test_without_gradio_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install 'keras_pretext[explore]'" in failing(capsys)
