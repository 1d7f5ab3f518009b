"""TF Serving's messages: the bytes are those of its own protos."""

import numpy as np
import pytest

from keras_pretext.serving import messages

# written by tensorflow-serving-api 2.21
LOG = "32240a220a0a0a016d120208071a017312110a0178120c0807120412020801420261621a0179"
ANSWER = "0a110a0179120c08131204120208016a02807812060a016d22016c"
METADATA = ("12700a0d7369676e61747572655f646566125f0a36747970652e676f6f676c65617069732e636f6d2f74"
            "656e736f72666c6f772e73657276696e672e5369676e61747572654465664d617012250a230a0173121e0a"
            "190a017812140a016e10071a0d120b08ffffffffffffffffff011a0170")
STATUS = "0a040803101e"


def read(kind, text):
    return messages.classes()[kind].FromString(bytes.fromhex(text))


def test_what_is_written_is_what_the_official_package_writes():
    log = messages.new("PredictionLog")
    request = log.predict_log.request
    request.model_spec.CopyFrom(messages.spec("m", version=7, signature="s"))
    request.inputs["x"].CopyFrom(messages.to_tensor([b"ab"]))
    request.output_filter.append("y")
    assert log.SerializeToString().hex() == LOG


def test_what_the_official_package_writes_is_read():
    answer = read("PredictResponse", ANSWER)
    assert (answer.model_spec.name, answer.model_spec.version_label) == ("m", "l")
    value = messages.from_tensor(answer.outputs["y"])
    assert value.dtype == np.float16 and value.tolist() == [1.0]
    packed = read("GetModelMetadataResponse", METADATA).metadata["signature_def"]
    assert packed.type_url.endswith("tensorflow.serving.SignatureDefMap")
    found = messages.classes()["SignatureDefMap"].FromString(packed.value).signature_def["s"]
    info = found.inputs["x"]
    assert (found.method_name, info.name, info.dtype) == ("p", "n", 7)
    assert [dim.size for dim in info.tensor_shape.dim] == [-1]
    status, = read("GetModelStatusResponse", STATUS).model_version_status
    assert (status.version, status.state) == (3, messages.AVAILABLE)


@pytest.mark.parametrize("value", [
    np.arange(6, dtype="float32").reshape(2, 3), np.array([1, 2.5], "float16"),
    np.array([True, False]), np.arange(250, 256, dtype="uint8"), np.array([-5, 2**40]),
    [b"a", b"\xff\0"], np.zeros((0, 3), "float32")])
def test_tensors_are_tensorflows_there_and_back(value):
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    sent = messages.to_tensor(value)
    theirs = tensor_pb2.TensorProto.FromString(sent.SerializeToString())
    array = np.asarray(value, object) if isinstance(value, list) else value
    np.testing.assert_array_equal(tf.make_ndarray(theirs), array)
    for proto in (theirs, tf.make_tensor_proto(value)):
        back = messages.from_tensor(messages.classes()["Tensor"].FromString(
            proto.SerializeToString()))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_a_filled_tensor_is_small_and_whole():
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    for dtype, value in (("uint8", 127), ("object", b"x")):
        sent = messages.filled((3, 2), dtype, value)
        assert sent.ByteSize() < 40
        theirs = tensor_pb2.TensorProto.FromString(sent.SerializeToString())
        assert tf.make_ndarray(theirs).tolist() == [[value] * 2] * 3
        assert messages.from_tensor(sent).tolist() == [[value] * 2] * 3


def test_another_dtype_is_an_error():
    with pytest.raises(ValueError, match="Received: complex64"):
        messages.to_tensor(np.zeros(2, "complex64"))
