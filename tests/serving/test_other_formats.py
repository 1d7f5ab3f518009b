"""ONNX and OpenVINO: what their runtimes answer is what the Keras model answers."""

import numpy as np
import pytest

from keras_pretext import zoo
from keras_pretext.data import scenes


@pytest.mark.parametrize("name, size", [("rotnet_nin", 32), ("rotnet_alexnet", 112)])
class TestParity:
    @pytest.fixture
    def model(self, name):
        return zoo.load(name, pooling="avg")

    @pytest.fixture
    def images(self, size):
        return scenes.load("test", size=size, count=4)[0]

    @staticmethod
    def close(expected, found):
        assert expected.keys() == found.keys()
        for tap, one in expected.items():
            one = np.asarray(one)
            assert one.shape == found[tap].shape
            assert np.abs(one - found[tap]).max() <= 1e-5 * np.abs(one).max(), tap

    def test_onnx(self, model, images, tmp_path):
        pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
        runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        expected, path = model(images), str(tmp_path / "model.onnx")
        model.export(path, format="onnx", verbose=False)
        session = runtime.InferenceSession(path)
        (given,) = session.get_inputs()
        found = session.run([*expected], {given.name: images.astype("float32")})
        self.close(expected, dict(zip(expected, found, strict=True)))

    def test_openvino(self, model, images, tmp_path):
        openvino = pytest.importorskip("openvino", reason="openvino is not installed")
        expected, path = model(images), str(tmp_path / "model.xml")
        model.export(path, format="openvino", verbose=False)
        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answers = compiled([images.astype("float32")])
        self.close(expected, {tap: answers[k] for k, tap in enumerate(sorted(expected))})
