"""A client of TF Serving, over REST or gRPC. It needs no TensorFlow."""

import base64
import collections
import concurrent.futures
import http.client
import io
import itertools
import json
import os
import pathlib
import random
import re
import socket
import threading
import time
import urllib.parse

import numpy as np

from keras_pretext.registry import unknown_name
from keras_pretext.serving import messages

_REQUEST_BYTES = 32 << 20  # a request is sent when its pictures are this large
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds, of the back-off
_METADATA_SECONDS = 10.0


class ServingError(RuntimeError):
    """A request to the server failed; the subclasses say how."""


class Unreachable(ServingError):
    """Nothing answers at the address."""


class UnknownModel(ServingError):
    """The server has no such model, version or label."""


class UnknownSignature(ServingError):
    """The model has no such signature."""


class DeadlinePassed(ServingError):
    """There was no answer in time."""


class ServerBusy(ServingError):
    """The server took no more requests, and went on so for all retries."""


class BadPicture(ServingError):
    """A picture cannot be read, here or on the server; `index` says which."""

    def __init__(self, text, index):
        super().__init__(text)
        self.index = index


class RequestRefused(ServingError):
    """The server refused a request for another reason, which it says."""


class Client:
    """Asks a model of TF Serving, several requests at a time.

    A request that finds no server or a busy one is sent again, after waits that double. At most
    `concurrency` requests are under way: an iterable of pictures is read no faster than answers
    come. A client may be used from several threads.

    Args:
        url: "http://host:8501" or "https://..." for REST, "grpc://host:8500" or "grpcs://..." for
            gRPC (the extra `[serving]`).
        model: its name on the server.
        version: a number; label: a version's label. Neither: the newest version.
        timeout: seconds for a call of `predict`, retries and waits included; of `stream`, for
            each of its requests.
        retries: how often a request is sent again.
        batch_size: pictures of a request, at most: no more than the server's `max_batch_size`.
        concurrency: requests under way.

    Raises:
        ValueError: for arguments out of range; another kind of address.
        ImportError: for gRPC without grpcio.
    """

    def __init__(self, url, model, version=None, label=None, timeout=60.0, retries=4,
                 batch_size=32, concurrency=4):
        if version is not None and label is not None:
            raise ValueError("a version has a number or a label. "
                             f"Received: version={version!r} and label={label!r}")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
            raise ValueError(f"a version is a whole number. Received: {version!r}")
        for name, value, least in (("retries", retries, 0), ("batch_size", batch_size, 1),
                                   ("concurrency", concurrency, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is a whole number from {least} on. Received: {value!r}")
        parts = urllib.parse.urlsplit(str(url))
        if parts.scheme not in ("http", "https", "grpc", "grpcs") or not parts.hostname:
            raise ValueError("an address begins with http://, https://, grpc:// or grpcs:// and "
                             f"names a host. Received: {url!r}")
        self.url, self.model, self.version, self.label = str(url), model, version, label
        self.timeout, self.retries = _positive(timeout), retries
        self.batch_size, self.concurrency = batch_size, concurrency
        self._signatures = None
        transport = _Grpc if parts.scheme.startswith("grpc") else _Rest
        self._transport = transport(parts, model, version, label)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connections; a later request opens new ones."""
        self._transport.close()

    def ready(self):
        """Whether the model is loaded and answers; False too where there is no server."""
        try:
            return self._transport.available(min(self.timeout, _METADATA_SECONDS))
        except ServingError:
            return False

    def signatures(self):
        """`{signature: {"inputs": {name: (dtype, shape)}, "outputs": ...}}`; -1 is any size."""
        if self._signatures is None:
            found = self._retried(self._transport.signatures, time.monotonic() + self.timeout)
            self._signatures = {k: v for k, v in found.items() if not k.startswith("__")}
        return self._signatures

    def contract(self):
        """What the model says of its taps, shapes, ranges and normalisation: a dict."""
        answer = self._ask("metadata", ["contract"], time.monotonic() + self.timeout)
        return json.loads(answer["contract"][0])

    def predict(self, pictures, signature="serving_default", timeout=None, on_bad="raise"):
        """The answers to pictures, in their order.

        Args:
            pictures: one, or an iterable of them, in any mixture: paths, encoded bytes, PIL
                images, uint8 arrays `(height, width, 3)`.
            signature: of the model. One that takes `images` gets the pixels as they are: of all
                sizes where its answers have one shape.
            timeout: seconds for the whole call, in place of the client's.
            on_bad: "raise", or "keep": what the server could not read has zeros in the answer,
                and False in its `valid`.

        Returns:
            dict of arrays `(pictures, ...)`, by the names of the signature's outputs.

        Raises:
            BadPicture, UnknownModel, UnknownSignature, Unreachable, ServerBusy, DeadlinePassed,
            RequestRefused: all of them ServingErrors.
        """
        deadline = time.monotonic() + _positive(self.timeout if timeout is None else timeout)
        parts = [*self._answers(pictures, signature, lambda: deadline, on_bad)]
        outputs = self._signature(signature)["outputs"]
        if not parts:
            return {name: np.zeros([max(0, n) for n in (0, *shape[1:])], dtype)
                    for name, (dtype, shape) in outputs.items()}
        out = {}
        for name in outputs:
            arrays = [part[name] for part in parts]
            if len({array.shape[1:] for array in arrays}) > 1:
                raise ValueError(f"{name} has another shape for each size of pictures; ask for one "
                                 "size at a time, or use `stream`. Received: "
                                 f"{sorted({array.shape[1:] for array in arrays})}")
            out[name] = np.concatenate(arrays)
        return out

    def stream(self, pictures, signature="serving_default", timeout=None, on_bad="raise"):
        """Yields for each picture, in their order, a dict of its answers; see `predict`.

        Pictures are taken from the iterable as answers come; there may be any number.
        """
        seconds = _positive(self.timeout if timeout is None else timeout)
        for answer in self._answers(pictures, signature, lambda: time.monotonic() + seconds,
                                    on_bad):
            for k in range(len(next(iter(answer.values())))):
                yield {name: array[k] for name, array in answer.items()}

    def _signature(self, name):
        known = self.signatures()
        if name not in known:
            raise UnknownSignature(unknown_name(f"signature of {self.model}", name, known))
        return known[name]

    def _answers(self, pictures, signature, deadline, on_bad):
        """The answers to the batches of pictures, in order, a few requests at a time."""
        if on_bad not in ("raise", "keep"):
            raise ValueError(f"on_bad is 'raise' or 'keep'. Received: {on_bad!r}")
        (_, (dtype, _)), = self._signature(signature)["inputs"].items()
        batches = self._batches(_several(pictures), _to_bytes if dtype == "object" else _to_array)
        under_way = collections.deque()
        threads = concurrent.futures.ThreadPoolExecutor(self.concurrency)
        try:
            while True:
                for start, batch in itertools.islice(batches, self.concurrency - len(under_way)):
                    under_way.append((start, threads.submit(
                        self._ask, signature, batch, deadline())))
                if not under_way:
                    return
                start, answer = under_way.popleft()
                answer = answer.result()
                bad = np.flatnonzero(~answer.get("valid", np.array([True])))
                if on_bad == "raise" and len(bad):
                    raise BadPicture("the server cannot read this picture (truncated, too large, "
                                     "or no JPEG, PNG, GIF or BMP); on_bad='keep' goes on. "
                                     f"Received: picture {start + bad[0]}", int(start + bad[0]))
                yield answer
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _batches(self, pictures, prepare):
        """`(index of the first, pictures)`: of at most `batch_size`, all arrays of one shape."""
        start, batch, size = 0, [], 0
        for index, picture in enumerate(pictures):
            value = prepare(picture, index)
            more = value.nbytes if isinstance(value, np.ndarray) else len(value)
            if batch and (len(batch) == self.batch_size or size + more > _REQUEST_BYTES
                          or np.shape(value) != np.shape(batch[0])):
                yield start, batch
                start, batch, size = index, [], 0
            batch.append(value)
            size += more
        if batch:
            yield start, batch

    def _ask(self, signature, batch, deadline):
        """One request: a batch to a dict of arrays."""
        info, sent = self._signature(signature), signature
        if isinstance(self._transport, _Rest) and any(
                dtype == "float16" for dtype, _ in info["outputs"].values()):
            sent = f"{signature}_float32"  # TF Serving's JSON has no float16
            if sent not in self.signatures():
                raise RequestRefused("TF Serving's REST has no float16; use gRPC. "
                                     f"Received: signature {signature!r}")
        answer = self._retried(lambda seconds: self._transport.predict(
            sent, self._signature(sent), batch, seconds), deadline)
        for name, (dtype, _) in info["outputs"].items():
            if name not in answer or len(answer[name]) != len(batch):
                raise RequestRefused(f"the answer holds no {name} for each of {len(batch)} "
                                     f"pictures. Received: {sorted(answer)} from {self.url}")
            answer[name] = answer[name].astype(dtype, copy=False)
        return answer

    def _retried(self, call, deadline):
        for attempt in itertools.count():
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise DeadlinePassed(f"the time was over before a request was sent to {self.url}")
            try:
                return call(seconds)
            except (Unreachable, ServerBusy) as error:
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** attempt) * random.uniform(0.5, 1)
                if attempt == self.retries:
                    raise
                if time.monotonic() + wait >= deadline:
                    raise DeadlinePassed(f"no answer in time after {attempt + 1} tries; the last: "
                                         f"{error}") from error
                time.sleep(wait)


def _positive(seconds):
    if not seconds > 0:
        raise ValueError(f"a timeout is a positive number of seconds. Received: {seconds!r}")
    return seconds


def _several(pictures):
    """An iterable of pictures, of one or of several."""
    if (isinstance(pictures, str | os.PathLike | bytes | bytearray) or hasattr(pictures, "getexif")
            or (isinstance(pictures, np.ndarray) and pictures.ndim == 3)):
        return [pictures]
    if not hasattr(pictures, "__iter__"):
        raise ValueError("pictures are paths, bytes, PIL images or uint8 arrays. "
                         f"Received: {type(pictures).__name__}")
    return pictures


def _read(path, index):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise BadPicture(f"this file cannot be read ({error.strerror}). "
                         f"Received: picture {index}, {str(path)!r}", index) from None


def _checked(array, index):
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise BadPicture("an array of a picture is uint8 (height, width, 3). Received: picture "
                         f"{index}, {array.dtype} {array.shape}", index)
    return array


def _to_bytes(picture, index):
    """A picture as encoded bytes; pixels as PNG, which loses nothing."""
    if isinstance(picture, bytes | bytearray):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return _read(picture, index)
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(_to_array(picture, index)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _to_array(picture, index):
    """A picture as uint8 `(height, width, 3)`."""
    from keras_pretext.data.decode import UNREADABLE, decode, reason, to_rgb

    if hasattr(picture, "__array__") and not hasattr(picture, "getexif"):
        return _checked(np.asarray(picture), index)
    try:
        if isinstance(picture, str | os.PathLike):
            picture = _read(picture, index)
        if isinstance(picture, bytes | bytearray):
            return _checked(decode(bytes(picture)), index)
        if hasattr(picture, "getexif"):
            return _checked(np.asarray(to_rgb(picture)), index)
    except UNREADABLE as error:
        raise BadPicture(f"not a readable picture ({reason(error)}). Received: picture {index}",
                         index) from None
    raise BadPicture("a picture is a path, bytes, a PIL image or a uint8 array. Received: picture "
                     f"{index}, {type(picture).__name__}", index)


_OF_SIGNATURE = re.compile(r"[Ss]erving signature|not found in signature")
_OF_VERSION = re.compile(r"version label|[Ss]ervable not found")


def _refusal(text, where):
    """The error of a refused request, by the server's words."""
    kind = (UnknownSignature if _OF_SIGNATURE.search(text)
            else UnknownModel if _OF_VERSION.search(text) else RequestRefused)
    return kind(f"the server refuses the request: {text}. Received from {where}")


class _Rest:
    """TF Serving's REST interface. Connections are kept and used again."""

    def __init__(self, parts, model, version, label):
        self.where = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self.secure, self.host = parts.scheme == "https", parts.hostname
        self.port = parts.port or (443 if self.secure else 80)
        quoted = urllib.parse.quote
        self.path = f"{parts.path.rstrip('/')}/v1/models/{quoted(model, safe='')}"
        if version is not None:
            self.path += f"/versions/{version}"
        if label is not None:
            self.path += f"/labels/{quoted(label, safe='')}"
        self.idle = collections.deque()

    def close(self):
        while self.idle:
            self.idle.pop().close()

    def available(self, seconds):
        states = self._json("GET", self.path, None, seconds).get("model_version_status", ())
        return any(one.get("state") == "AVAILABLE" for one in states)

    def signatures(self, seconds):
        found = self._json("GET", f"{self.path}/metadata", None, seconds)
        try:
            found = found["metadata"]["signature_def"]["signature_def"]
            return {name: {side: {key: _info(one) for key, one in what.get(side, {}).items()}
                           for side in ("inputs", "outputs")} for name, what in found.items()}
        except (KeyError, TypeError, AttributeError, ValueError):
            raise RequestRefused("this is not TF Serving's metadata. "
                                 f"Received from {self.where}") from None

    def predict(self, signature, info, batch, seconds):
        key, = info["inputs"]
        values = [{"b64": base64.b64encode(one).decode()} if isinstance(one, bytes)
                  else one if isinstance(one, str) else one.tolist() for one in batch]
        body = json.dumps({"signature_name": signature, "inputs": {key: values}}).encode()
        found = self._json("POST", f"{self.path}:predict", body, seconds).get("outputs")
        if len(info["outputs"]) == 1:
            found = {next(iter(info["outputs"])): found}
        try:
            return {name: np.array([one.encode() for one in found[name]] if dtype == "object"
                                   else found[name], dtype)
                    for name, (dtype, _) in info["outputs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RequestRefused("this is not TF Serving's answer. "
                                 f"Received from {self.where}") from None

    def _json(self, method, path, body, seconds):
        status, text = self._exchange(method, path, body, time.monotonic() + seconds)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        said = str(said or text[:200].decode(errors="replace")).strip()
        if status in (429, 503):
            raise ServerBusy(f"the server is busy: {said}. Received: {status} from {self.where}")
        if status in (408, 504):
            raise DeadlinePassed(f"the server gave up: {said}. "
                                 f"Received: {status} from {self.where}")
        if status == 502:
            raise Unreachable(f"a gateway finds no server: {said}. Received: 502 from {self.where}")
        if status == 404:
            raise UnknownModel(f"the server has no such model, version or label: {said}. "
                               f"Received: {self.path} from {self.where}")
        raise _refusal(said or f"status {status}", self.where)

    def _exchange(self, method, path, body, deadline):
        """The status and the body of the answer to one request."""
        def left():
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise TimeoutError
            return seconds

        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        headers = {"Content-Type": "application/json"} if body else {}
        while True:
            try:
                connection, used = self.idle.pop(), True
            except IndexError:
                connection, used = kind(self.host, self.port), False
            try:
                connection.timeout = left()
                if not used:
                    connection.connect()
                stream = connection.sock
                stream.settimeout(left())
                connection.request(method, path, body, headers)
                stream.settimeout(left())
                response, parts = connection.getresponse(), []
                while part := response.read1(1 << 20):
                    parts.append(part)
                    stream.settimeout(left())
                if response.length:
                    raise http.client.IncompleteRead(b"", response.length)
                response.close()  # read1 leaves it open, and the connection with it
                if connection.sock is not None:  # else the server ends the connection
                    self.idle.append(connection)
                return response.status, b"".join(parts)
            except TimeoutError:
                connection.close()
                raise DeadlinePassed(f"no answer in time from {self.where}") from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if used and isinstance(error, ConnectionError):
                    continue  # the server may have ended it while it was idle: a new one
                what = ("its name is unknown" if isinstance(error, socket.gaierror)
                        else str(error) or type(error).__name__)
                raise Unreachable(f"no server answers at {self.where} ({what})") from None


class _Grpc:
    """TF Serving's PredictionService and ModelService."""

    def __init__(self, parts, model, version, label):
        try:
            import grpc
        except ImportError:
            raise ImportError('grpc:// needs grpcio: pip install "keras_pretext[serving]"'
                              ) from None
        messages.classes()
        self.grpc, self.where = grpc, f"{parts.scheme}://{parts.netloc}"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.address = f"{host}:{parts.port or 8500}"
        self.secure, self.lock, self.channel = parts.scheme == "grpcs", threading.Lock(), None
        self.spec = dict(model=model, version=version, label=label)

    def close(self):
        with self.lock:
            if self.channel is not None:
                self.channel.close()
            self.channel = None

    def available(self, seconds):
        found = self._call("ModelService/GetModelStatus", "GetModelStatus", seconds,
                           model_spec=messages.spec(**self.spec))
        return any(one.state == messages.AVAILABLE for one in found.model_version_status)

    def signatures(self, seconds):
        found = self._call("PredictionService/GetModelMetadata", "GetModelMetadata", seconds,
                           model_spec=messages.spec(**self.spec), metadata_field=["signature_def"])
        found = messages.classes()["SignatureDefMap"].FromString(
            found.metadata["signature_def"].value).signature_def
        return {name: {side: {key: (messages.dtype_name(one.dtype),
                                    tuple(dim.size for dim in one.tensor_shape.dim))
                              for key, one in getattr(what, side).items()}
                       for side in ("inputs", "outputs")} for name, what in found.items()}

    def predict(self, signature, info, batch, seconds):
        key, = info["inputs"]
        if isinstance(batch[0], np.ndarray):
            tensor = messages.to_tensor(np.stack(batch))
        else:
            tensor = messages.to_tensor([one.encode() if isinstance(one, str) else one
                                         for one in batch])
        found = self._call("PredictionService/Predict", "Predict", seconds,
                           model_spec=messages.spec(signature=signature, **self.spec),
                           inputs={key: tensor})
        return {name: messages.from_tensor(tensor) for name, tensor in found.outputs.items()}

    def _call(self, method, kind, seconds, **fields):
        grpc = self.grpc
        with self.lock:
            if self.channel is None:
                options = [("grpc.max_receive_message_length", -1),
                           ("grpc.max_send_message_length", -1)]
                self.channel = (
                    grpc.secure_channel(self.address, grpc.ssl_channel_credentials(), options)
                    if self.secure else grpc.insecure_channel(self.address, options))
            call = self.channel.unary_unary(
                f"/tensorflow.serving.{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=messages.classes()[f"{kind}Response"].FromString)
        try:
            return call(messages.new(f"{kind}Request", **fields), timeout=seconds)
        except grpc.RpcError as error:
            code, said = error.code(), str(error.details())
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED or (
                    code is grpc.StatusCode.UNAVAILABLE and re.search("queue|busy", said)):
                raise ServerBusy(f"the server is busy: {said}. "
                                 f"Received from {self.where}") from None
            if code is grpc.StatusCode.UNAVAILABLE:
                raise Unreachable(f"no server answers at {self.where} ({said[:200]})") from None
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlinePassed(f"no answer in time from {self.where}") from None
            if code is grpc.StatusCode.NOT_FOUND:
                raise UnknownModel(f"the server has no such model, version or label: {said}. "
                                   f"Received: {self.spec} from {self.where}") from None
            raise _refusal(said, self.where) from None


def _info(tensor):
    """`(dtype, shape)` of a TensorInfo as JSON has it."""
    dims = tensor.get("tensor_shape", {}).get("dim", [])
    return messages.dtype_name(tensor["dtype"]), tuple(int(dim["size"]) for dim in dims)
