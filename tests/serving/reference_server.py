"""A small server that speaks TF Serving's public REST and gRPC by running the SavedModels.

It is for tests: it reads a bundle's `models.config`, listens on loopback, and fails when told to.
Tensors and signatures go through TensorFlow's own protos and JSON as TF Serving's pages describe
it (tensorflow_serving/g3doc/api_rest.md), not through the client's code.
"""

import base64
import concurrent.futures
import http.server
import json
import pathlib
import re
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_pretext.serving import messages

_URL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata|:predict)?$")
_REST = {"float32", "float64", "int32", "uint8", "int64", "bool", "object"}  # no float16


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code  # name of a gRPC status


_STATUS = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400,
           "UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "DEADLINE_EXCEEDED": 504,
           "UNIMPLEMENTED": 501, "INTERNAL": 500}


class Server:
    """Serves a bundle; `failures` is a list of Failures for the next requests, `delay` seconds."""

    def __init__(self, bundle):
        config = (pathlib.Path(bundle) / "models.config").read_text()
        self.models, self.labels = {}, {}
        for part in config.split("config {")[1:]:
            name, = re.findall(r'\bname: "(.*)"', part)
            base, = re.findall(r'base_path: "(.*)"', part)
            for version in re.findall(r"versions: (\d+)", part):
                folder = pathlib.Path(base) / version
                self.models[name, int(version)] = (tf.saved_model.load(str(folder)).signatures,
                                                   _definitions(folder))
            self.labels[name] = {label: int(version) for label, version in re.findall(
                r'version_labels \{ key: "(.*)" value: (\d+) \}', part)}
        self.failures, self.delay, self.requests = [], 0.0, 0
        self.at_once, self.most_at_once, self.lock = 0, 0, threading.Lock()
        self.rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.rest.daemon_threads = True
        self.rest.handle_error = lambda *_: None  # clients that gave up
        batching = (pathlib.Path(bundle) / "batching.config").read_text()
        self.most, = map(int, re.findall(r"max_batch_size { value: (\d+) }", batching))
        threading.Thread(target=self.rest.serve_forever, daemon=True).start()
        self.grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=[
            ("grpc.max_receive_message_length", -1)])
        self.grpc.add_generic_rpc_handlers([
            grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {
                "Predict": self._method("PredictRequest", self._grpc_predict),
                "GetModelMetadata": self._method("GetModelMetadataRequest", self._grpc_metadata)}),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", {
                "GetModelStatus": self._method("GetModelStatusRequest", self._grpc_status)})])
        port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()
        self.urls = {"rest": f"http://127.0.0.1:{self.rest.server_port}",
                     "grpc": f"grpc://127.0.0.1:{port}"}

    def stop(self):
        self.rest.shutdown()
        self.rest.server_close()
        self.grpc.stop(None)

    def _find(self, name, version, label):
        known = [v for n, v in self.models if n == name]
        if label and label not in self.labels.get(name, {}):
            raise Failure("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        version = self.labels[name][label] if label else version or max(known, default=None)
        if version not in known:
            raise Failure("NOT_FOUND", f"Servable not found for request: Specific({name}, "
                                       f"{version})" if version else f"Latest({name})")
        return version, *self.models[name, version]

    def _predict(self, signatures, signature, inputs):
        """Inputs by name, NumPy arrays, to outputs by name."""
        with self.lock:
            self.requests += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            failure = self.failures.pop(0) if self.failures else None
        try:
            time.sleep(self.delay)
            size = max(map(len, inputs.values()))
            if size > self.most:
                raise Failure("INVALID_ARGUMENT", f"Task size {size} is larger than maximum input "
                                                  f"batch size {self.most}")
            if failure is not None:
                raise failure
            try:
                out = signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
            except tf.errors.OpError as error:
                raise Failure("INVALID_ARGUMENT", error.message) from None
            return {name: value.numpy() for name, value in out.items()}
        finally:
            with self.lock:
                self.at_once -= 1

    # gRPC

    def _method(self, request, answer):
        def handle(message, context):
            try:
                return answer(message)
            except Failure as failure:
                context.abort(getattr(grpc.StatusCode, failure.code), str(failure))

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=messages.classes()[request].FromString,
            response_serializer=lambda answer: answer.SerializeToString())

    def _of(self, spec):
        return self._find(spec.name, spec.version.value, spec.version_label)

    def _grpc_predict(self, request):
        _, signatures, definitions = self._of(request.model_spec)
        signature = request.model_spec.signature_name or "serving_default"
        if signature not in definitions:
            raise Failure("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        inputs = {k: tf.make_ndarray(tensor_pb2.TensorProto.FromString(v.SerializeToString()))
                  for k, v in request.inputs.items()}
        if set(inputs) != set(definitions[signature].inputs):
            raise Failure("INVALID_ARGUMENT", "input tensor alias not found in signature")
        answer = messages.new("PredictResponse")
        for k, (name, value) in enumerate(self._predict(signatures, signature, inputs).items()):
            proto = tf.make_tensor_proto(value)
            if k % 2 == 0 and value.dtype != object:  # TF Serving may use the typed fields
                proto = _typed(value)
            answer.outputs[name].ParseFromString(proto.SerializeToString())
        return answer

    def _grpc_metadata(self, request):
        assert request.metadata_field == ["signature_def"]
        *_, definitions = self._of(request.model_spec)
        found = messages.new("SignatureDefMap")
        for name, definition in definitions.items():
            found.signature_def[name].ParseFromString(definition.SerializeToString())
        answer = messages.new("GetModelMetadataResponse")
        answer.metadata["signature_def"].value = found.SerializeToString()
        answer.metadata["signature_def"].type_url = (
            "type.googleapis.com/tensorflow.serving.SignatureDefMap")
        return answer

    def _grpc_status(self, request):
        version, *_ = self._of(request.model_spec)
        answer = messages.new("GetModelStatusResponse")
        answer.model_version_status.add(version=version, state=30)
        return answer

    # REST

    def _rest_predict(self, signatures, definitions, body):
        signature = body.get("signature_name", "serving_default")
        if signature not in definitions:
            raise Failure("INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found '
                                              "in signature def")
        definition = definitions[signature]
        if "instances" in body:
            rows = body["instances"]
            if not (isinstance(rows[0], dict) and "b64" not in rows[0]):
                name, = definition.inputs
                rows = [{name: row} for row in rows]
            given = {name: [row[name] for row in rows] for name in rows[0]}
        else:
            given = body["inputs"]
            if not isinstance(given, dict):
                name, = definition.inputs
                given = {name: given}
        inputs = {}
        for name, value in given.items():
            if name not in definition.inputs:
                raise Failure("INVALID_ARGUMENT", f"does not have named input: {name}")
            dtype = tf.as_dtype(definition.inputs[name].dtype).as_numpy_dtype
            if dtype is object:
                value = [base64.b64decode(v["b64"]) if isinstance(v, dict) else v.encode()
                         for v in value]
            inputs[name] = np.array(value, dtype)
        out = self._predict(signatures, signature, inputs)
        for value in out.values():
            if str(value.dtype) not in _REST:
                raise Failure("UNIMPLEMENTED", f"Encoding failed for dtype: {value.dtype}")
        out = {name: [v.decode() for v in value] if value.dtype == object else value.tolist()
               for name, value in out.items()}
        if "instances" in body:
            rows = [dict(zip(out, row, strict=True)) for row in zip(*out.values(), strict=True)]
            return {"predictions": rows if len(out) > 1 else next(iter(out.values()))}
        return {"outputs": out if len(out) > 1 else next(iter(out.values()))}

    def _handler(server):  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.handle_with(None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.handle_with(json.loads(body))

            def handle_with(self, body):
                try:
                    found = _URL.match(self.path)
                    if not found:
                        raise Failure("INVALID_ARGUMENT", f"Malformed request: {self.path}")
                    name, version, label, what = found.groups()
                    version, signatures, definitions = server._find(
                        name, version and int(version), label)
                    if what == ":predict":
                        self.answer(200, server._rest_predict(signatures, definitions, body))
                    elif what == "/metadata":
                        shown = {k: json_format.MessageToDict(
                            v, preserving_proto_field_name=True,
                            always_print_fields_with_no_presence=True)
                            for k, v in definitions.items()}
                        self.answer(200, {
                            "model_spec": {"name": name, "version": str(version)},
                            "metadata": {"signature_def": {"signature_def": shown}}})
                    else:
                        self.answer(200, {"model_version_status": [{
                            "version": str(version), "state": "AVAILABLE",
                            "status": {"error_code": "OK", "error_message": ""}}]})
                except Failure as failure:
                    self.answer(_STATUS[failure.code], {"error": str(failure)})

        return Handler


def _definitions(folder):
    """SignatureDefs by name."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    out = {}
    for name, definition in model.meta_graphs[0].signature_def.items():
        out[name] = meta_graph_pb2.SignatureDef()
        out[name].CopyFrom(definition)
    return out


def _typed(value):
    """A TensorProto with its values in the field of their type, as TF Serving writes them."""
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(value.dtype).as_datatype_enum)
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    field = {"float32": "float_val", "bool": "bool_val", "float16": "half_val"}[str(value.dtype)]
    flat = value.ravel()
    getattr(proto, field).extend((flat.view("uint16") if field == "half_val" else flat).tolist())
    return proto
