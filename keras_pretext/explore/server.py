"""The explorer's server: what it listens on, and the few doors of it that are open."""

import ipaddress
import json
import os
import pathlib
import socket

from keras_pretext.explore.app import STYLE, Explorer, blocks, gradio
from keras_pretext.explore.pictures import open_pictures

# What the page asks for. Gradio has more, which open files, take uploads or fetch URLs: closed.
_PATHS = ("/", "/config", "/theme.css", "/manifest.json", "/favicon.ico",
          "/gradio_api/run/predict", "/gradio_api/app_id", "/gradio_api/startup-events",
          "/gradio_api/info")
_FOLDERS = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")
_LARGEST = 1 << 16  # bytes of a message
# The browser, too, asks nothing of others.
_POLICY = ("default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; "
           "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
           "frame-ancestors 'none'; base-uri 'self'; form-action 'self'")


class Doors:
    """ASGI: lets through what the page asks for, of the hosts that it may be called by.

    Args:
        app: the ASGI application behind it.
        hosts: names that the `Host` header may have, None for any. Naming the loopback ones keeps
            other sites' pages from reading it under a name of theirs.
    """

    def __init__(self, app, hosts=None):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        if not self.opens(scope):
            await _refuse(send)
            return

        if scope["method"] == "POST":
            body = await _body(receive)
            if body is None or not is_plain(body):
                await _refuse(send)
                return
            receive = _again(body, receive)

        async def with_policy(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()),
                                      (b"content-security-policy", _POLICY.encode()),
                                      (b"x-content-type-options", b"nosniff"),
                                      (b"referrer-policy", b"no-referrer")]
            await send(message)

        await self.app(scope, receive, with_policy)

    def opens(self, scope):
        """Whether a request is let through."""
        path = scope["path"]
        if ".." in path or "\\" in path or "//" in path:
            return False
        if self.hosts is not None:
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            name = host.rpartition(":")[0] if not host.endswith("]") else host
            if (name or host) not in self.hosts:
                return False
        return path in _PATHS or path.startswith(_FOLDERS)


def is_plain(body):
    """Whether a message holds what the page's controls say: words and numbers.

    Gradio takes `{"path": ...}` in any place of `data` for a file, and copies it.
    """
    try:
        message = json.loads(body or b"{}")
    except ValueError:
        return False
    if not isinstance(message, dict):
        return False
    event = message.get("event_data")
    return all(value is None or isinstance(value, str | int | float) for value in (
        *(message.get("data") or ()), *(event.values() if isinstance(event, dict) else [event])))


async def _body(receive):
    """The body of a request; None of one that is too long, or broken off."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _LARGEST:
            return None
        if not message.get("more_body"):
            return body


def _again(body, receive):
    """`receive` that gives a body that was read already."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def give():
        return left.pop() if left else await receive()

    return give


async def _refuse(send):
    await send({"type": "http.response.start", "status": 404,
                "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"not here"})


def application(explorer, host="127.0.0.1"):
    """The ASGI application of an `Explorer`, for what listens on a host."""
    gr = gradio()
    import fastapi

    app = gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None), blocks(explorer), "/",
        footer_links=[], run_history=False, allowed_paths=[], ssr_mode=False, mcp_server=False,
        enable_monitoring=False, pwa=False, css=STYLE, show_error=False,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]))
    own = {"localhost", "127.0.0.1", "[::1]", host}
    return Doors(app, own if is_loopback(host) else None)


def listening(host, port):
    """A socket that listens. Raises ValueError or OSError with what would be right."""
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is 0 to 65535. Received: {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        known = error.errno is not None and error.errno > 0  # not so of names
        why = os.strerror(error.errno) if known else error.strerror
        raise OSError(f"cannot listen there ({why}): pass another --port, or --host. "
                      f"Received: {host}, port {port}") from None


def is_loopback(host):
    """Whether only this machine can reach what listens on a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_models(names=None):
    """Dict from what a model is called on the page to the PretextModel.

    Args:
        names: zoo names, or folders of entries or runs; by default all of the zoo.

    Raises:
        ValueError: for an unknown or damaged one.
    """
    from keras_pretext import zoo
    from keras_pretext.zoo.entry import pretext_model

    found = {}
    for name in zoo.list() if names is None else names:
        short = _called(name)
        found[str(name) if short in found else short] = pretext_model(name)
    return found


def _called(name):
    """A zoo name as it is; of a folder or file what tells it from others, without its place."""
    path = pathlib.Path(name)
    if not path.exists():
        return str(name)
    path = path.resolve()
    if path.name.isdecimal():  # a version of an entry
        return f"{path.parent.name}@{path.name}"
    return path.stem if path.is_file() else path.name


def serve(data=("scenes",), models=None, host="127.0.0.1", port=7860, split="test", images=200,
          say=print):
    """Serves the explorer until it is stopped. Files are opened before, none after.

    Args:
        data: names, folders or files of pictures, see `open_pictures`.
        models: see `open_models`.
        host, port: what to listen on; port 0 for a free one.
        split, images: of the data; how many pictures of each, at most.
        say: called with the lines to print.

    Raises:
        ImportError: without Gradio.
        ValueError: for data or models that cannot be opened.
        OSError: where it cannot listen.
    """
    gradio()
    import uvicorn

    with listening(host, port) as server:
        opened = {str(spec): open_pictures(spec, split, images) for spec in data}
        app = application(Explorer(opened, open_models(models)), host)
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{server.getsockname()[1]} (Ctrl-C stops it)")
        if not is_loopback(host):
            say("whoever can reach this address can look at these pictures")
        uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on",
                                      timeout_graceful_shutdown=1)).run(sockets=[server])
