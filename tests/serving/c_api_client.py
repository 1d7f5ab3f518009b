"""Runs signatures of a SavedModel through TensorFlow's C API, without its Python package.

    python c_api_client.py request.json out.npz

The request names the two libraries, the SavedModel, an .npy of images, encoded pictures in hex
and, for each signature, its input tensor and output tensors.
"""

import ctypes
import json
import sys

import numpy as np
import numpy.random  # noqa: F401  (before the libraries: they bring a C++ runtime of their own)

UINT8, STRING = 4, 7
READ = {1: np.float32, 10: np.bool_, 19: np.float16}
TSTRING_BYTES = 24


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t),
                ("deallocator", ctypes.c_void_p)]


class Client:
    def __init__(self, libraries, folder):
        for path in libraries:
            self.tf = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_NewBuffer",
                     "TF_LoadSessionFromSavedModel", "TF_GraphOperationByName",
                     "TF_AllocateTensor", "TF_TensorData"):
            getattr(self.tf, name).restype = ctypes.c_void_p
        self.tf.TF_Message.restype = ctypes.c_char_p
        self.tf.TF_Dim.restype = ctypes.c_int64
        self.status = self.pointer("TF_NewStatus")
        self.graph = self.pointer("TF_NewGraph")
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.pointer(
            "TF_LoadSessionFromSavedModel", self.pointer("TF_NewSessionOptions"), None,
            folder.encode(), tags, 1, self.graph, self.pointer("TF_NewBuffer"), self.status)
        self.check()

    def pointer(self, function, *arguments):
        return ctypes.c_void_p(getattr(self.tf, function)(*arguments))

    def check(self):
        if self.tf.TF_GetCode(self.status):
            raise RuntimeError(self.tf.TF_Message(self.status).decode())

    def output(self, tensor):
        name, _, index = tensor.partition(":")
        operation = self.tf.TF_GraphOperationByName(self.graph, name.encode())
        assert operation, tensor
        return Output(operation, int(index or 0))

    def allocate(self, kind, shape, nbytes):
        dims = (ctypes.c_int64 * len(shape))(*shape)
        tensor = self.pointer("TF_AllocateTensor", kind, dims, len(shape), ctypes.c_size_t(nbytes))
        return tensor, self.tf.TF_TensorData(tensor)

    def images(self, array):
        tensor, data = self.allocate(UINT8, array.shape, array.nbytes)
        ctypes.memmove(data, array.ctypes.data, array.nbytes)
        return tensor

    def strings(self, values):
        tensor, data = self.allocate(STRING, (len(values),), TSTRING_BYTES * len(values))
        for k, value in enumerate(values):
            place = ctypes.c_void_p(data + k * TSTRING_BYTES)
            self.tf.TF_StringInit(place)
            self.tf.TF_StringCopy(place, value, ctypes.c_size_t(len(value)))
        return tensor

    def run(self, call, tensor):
        names, count = list(call["outputs"]), len(call["outputs"])
        inputs = (Output * 1)(self.output(call["input"]))
        outputs = (Output * count)(*(self.output(call["outputs"][n]) for n in names))
        given, found = (ctypes.c_void_p * 1)(tensor.value), (ctypes.c_void_p * count)()
        self.tf.TF_SessionRun(self.session, None, inputs, given, 1, outputs, found, count, None, 0,
                              None, self.status)
        self.check()
        return {name: self.array(ctypes.c_void_p(one)) for name, one in zip(names, found,
                                                                            strict=True)}

    def array(self, tensor):
        kind = np.dtype(READ[self.tf.TF_TensorType(tensor)])
        shape = [self.tf.TF_Dim(tensor, k) for k in range(self.tf.TF_NumDims(tensor))]
        data = ctypes.string_at(self.tf.TF_TensorData(tensor), int(np.prod(shape)) * kind.itemsize)
        return np.frombuffer(data, kind).reshape(shape)


def main(request, out):
    with open(request) as file:
        request = json.load(file)
    client = Client(request["libraries"], request["model"])
    images = client.images(np.load(request["images"]))
    encoded = client.strings([bytes.fromhex(b) for b in request["bytes"]])
    results = {f"{name}/{tap}": value for name, call in request["calls"].items()
               for tap, value in client.run(
                   call, images if name == "images" else encoded).items()}
    assert "tensorflow" not in sys.modules
    np.savez(out, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
