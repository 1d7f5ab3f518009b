"""TF Serving's public messages, made from their field numbers.

They are those of the protos of tensorflow/tensorflow and tensorflow/serving (`apis/`). The package
that holds them, tensorflow-serving-api, requires the distribution `tensorflow`, which overwrites
the files of `tensorflow-cpu`; and a client should not need TensorFlow at all.
"""

import functools

import numpy as np

# message: {field: (number, type)}; "*" is repeated, "map" from string.
_SCHEMA = {
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShape": {"dim": (2, "Dim*"), "unknown_rank": (3, "bool")},
    "Tensor": {"dtype": (1, "int32"), "tensor_shape": (2, "TensorShape"),
               "tensor_content": (4, "bytes"), "float_val": (5, "float*"),
               "double_val": (6, "double*"), "int_val": (7, "int32*"),
               "string_val": (8, "bytes*"), "int64_val": (10, "int64*"),
               "bool_val": (11, "bool*"), "half_val": (13, "int32*")},
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {"name": (1, "string"), "version": (2, "Int64Value"),
                  "signature_name": (3, "string"), "version_label": (4, "string")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "map Tensor"),
                       "output_filter": (3, "string*")},
    "PredictResponse": {"outputs": (1, "map Tensor"), "model_spec": (2, "ModelSpec")},
    "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "PredictResponse")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "int32"),
                   "tensor_shape": (3, "TensorShape")},
    "SignatureDef": {"inputs": (1, "map TensorInfo"), "outputs": (2, "map TensorInfo"),
                     "method_name": (3, "string")},
    "SignatureDefMap": {"signature_def": (1, "map SignatureDef")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"),
                                "metadata_field": (2, "string*")},
    "GetModelMetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "map Any")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "ModelVersionStatus": {"version": (1, "int64"), "state": (2, "int32")},
    "GetModelStatusResponse": {"model_version_status": (1, "ModelVersionStatus*")},
}
AVAILABLE = 30  # ModelVersionStatus.State
# DataType: the number, NumPy's name, the field of the values
_DTYPES = [(1, "float32", "float_val"), (2, "float64", "double_val"), (3, "int32", "int_val"),
           (4, "uint8", "int_val"), (7, "object", "string_val"), (9, "int64", "int64_val"),
           (10, "bool", "bool_val"), (19, "float16", "half_val")]
_NAMES = {"DT_FLOAT": 1, "DT_DOUBLE": 2, "DT_INT32": 3, "DT_UINT8": 4, "DT_STRING": 7,
          "DT_INT64": 9, "DT_BOOL": 10, "DT_HALF": 19}


@functools.cache
def classes():
    """The message classes by name.

    Raises:
        ImportError: where protobuf is missing.
    """
    return build(_SCHEMA)


def build(schema):
    """Message classes of a schema like the one above, in a pool of their own."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise ImportError('TF Serving\'s messages need protobuf: '
                          'pip install "keras_pretext[serving]"') from None
    proto = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="kps",
                                              syntax="proto3")

    def add(message, field, number, kind, repeated=False):
        added = message.field.add(name=field, number=number)
        added.label = proto.LABEL_REPEATED if repeated else proto.LABEL_OPTIONAL
        if kind[0].isupper():
            added.type, added.type_name = proto.TYPE_MESSAGE, f".kps.{kind}"
        else:
            added.type = getattr(proto, f"TYPE_{kind.upper()}")

    for name, fields in schema.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if kind.startswith("map "):
                entry = "".join(word.title() for word in field.split("_")) + "Entry"
                pair = message.nested_type.add(name=entry)
                pair.options.map_entry = True
                add(pair, "key", 1, "string")
                add(pair, "value", 2, kind.removeprefix("map "))
                add(message, field, number, f"{name}.{entry}", repeated=True)
            else:
                add(message, field, number, kind.removesuffix("*"), kind.endswith("*"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kps.{name}"))
            for name in schema}


def new(kind, /, **fields):
    """A message by its name."""
    return classes()[kind](**fields)


def spec(model, version=None, label=None, signature=None):
    """A ModelSpec."""
    out = new("ModelSpec", name=model, signature_name=signature or "", version_label=label or "")
    if version is not None:
        out.version.value = version
    return out


def to_tensor(array):
    """A NumPy array, or a list of bytes, as a TensorProto."""
    array = np.asarray(array, object) if isinstance(array, list) else np.asarray(array)
    for number, name, _ in _DTYPES:
        if array.dtype == name:
            out = new("Tensor", dtype=number)
            for size in array.shape:
                out.tensor_shape.dim.add(size=size)
            if name == "object":
                out.string_val.extend(array.ravel().tolist())
            else:
                out.tensor_content = np.ascontiguousarray(array).tobytes()
            return out
    raise ValueError(f"no tensor of this dtype is sent. Received: {array.dtype}")


def filled(shape, dtype, value):
    """A uint8 or string TensorProto that holds one value everywhere, and is small all the same."""
    out = new("Tensor", dtype=dtype_number(dtype))
    for size in shape:
        out.tensor_shape.dim.add(size=size)
    (out.string_val if dtype == "object" else out.int_val).append(value)
    return out


def from_tensor(tensor):
    """A TensorProto as a NumPy array; strings as an object array of bytes."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = int(np.prod(shape))
    name, field = {number: rest for number, *rest in _DTYPES}[tensor.dtype]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, name).reshape(shape)
    values = [*getattr(tensor, field)][:count]
    values += [values[-1] if values else 0] * (count - len(values))  # the last one goes on
    if name == "float16":
        return np.array(values, "uint16").view("float16").reshape(shape)
    return np.array(values, name).reshape(shape)


def dtype_name(number):
    """NumPy's name of a DataType, by its number or name ("DT_HALF")."""
    return {n: name for n, name, _ in _DTYPES}.get(_NAMES.get(number, number), str(number))


def dtype_number(name):
    return {name: number for number, name, _ in _DTYPES}[name]
