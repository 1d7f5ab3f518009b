"""A served AlexNet against ONNX Runtime, OpenVINO and PyTorch on the same CPU.

    python benchmarks/serving.py [--model rotnet_alexnet] [--threads 2] [--rounds 21]

Each takes the same uint8 pictures, normalises them itself and answers with all taps averaged over
their maps, in turns: 64 pictures at once, then one. Who is not installed is left out; PyTorch runs
the same weights, channels last, its batch norms folded too. Warm first request: the median first
answer of fresh processes that load the bundle and replay its warm-up requests, as TF Serving does
on loading, against the median of the answers that follow.
"""

import argparse
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from _timing import ratio, show, take_turns, verdict

WARM = """
import sys, time
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from keras_pretext.serving import messages
from keras_pretext.serving.bundle import WARMUP
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[3]))
served = tf.saved_model.load(sys.argv[1]).signatures
images = np.load(sys.argv[2])

def answer(signature, **inputs):
    start = time.perf_counter()
    for value in served[signature](**inputs).values():
        value.numpy()
    return time.perf_counter() - start

for record in tf.data.TFRecordDataset(f"{sys.argv[1]}/{WARMUP}").as_numpy_iterator():
    request = messages.classes()["PredictionLog"].FromString(record).predict_log.request
    (name, tensor), = request.inputs.items()
    value = tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensor.SerializeToString()))
    answer(request.model_spec.signature_name, **{name: tf.constant(value)})
print(*[answer("images", images=tf.constant(images)) for _ in range(31)])
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="rotnet_alexnet", help="an AlexNet without groups")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--starts", type=int, default=5, help="processes for the first request")
    arguments = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        compare(pathlib.Path(folder), arguments)


def compare(folder, arguments):
    from keras_pretext import serving, zoo
    from keras_pretext.data import scenes

    model = zoo.load(arguments.model, pooling="avg")
    size = model.task.image_size
    images = scenes.load("test", size=size, count=64)[0]
    bundles = {}
    for kind, dtype in (("float32", "float32"), ("bfloat16", "mixed_bfloat16")):
        out = serving.serve_bundle(arguments.model, folder / kind, dtype=dtype)
        bundles[kind] = next(next(p for p in out.iterdir() if p.is_dir()).iterdir())
    runs = {f"SavedModel, {kind}": saved_model(path) for kind, path in bundles.items()}
    model(images)  # Keras exports what was called once
    for module, make in (("onnxruntime", onnx), ("openvino", openvino), ("torch", torch)):
        if importlib.util.find_spec(module):
            runs |= make(model, folder, images, arguments.threads)
        else:
            print(f"{module}: not installed")
    print(f"{arguments.model}, {size} pixels, {arguments.threads} threads of {os.cpu_count()} "
          f"cores, load {os.getloadavg()[0]:.0f}")
    exact = runs["SavedModel, float32"](images)
    print("least cosine of a tap's vectors to float32")
    for name, run in runs.items():
        print(f"  {name:44} {cosine(exact, run(images)):10.6f}")
    for batch in (64, 1):
        print(f"batch of {batch}")
        rates = take_turns({name: counted(run, images[:batch]) for name, run in runs.items()},
                           arguments.rounds, arguments.seconds)
        show(rates, "images/s" if batch > 1 else "answers/s")
        ours = rates["SavedModel, bfloat16"]
        for name, wanted in (("ONNX Runtime, float32", 2), ("OpenVINO, bfloat16", 1)):
            if name in rates and batch > 1:
                verdict(f"bfloat16 / {name}", ratio(ours, rates[name]), wanted)
        if batch == 1:
            for name, values in rates.items():
                print(f"  {name:44} {1e3 / statistics.median(values):10.2f} ms")
    np.save(folder / "one.npy", images[:1])
    for kind, path in bundles.items():
        shares = []
        for _ in range(arguments.starts):
            done = subprocess.run([sys.executable, "-c", WARM, str(path), str(folder / "one.npy"),
                                   str(arguments.threads)], check=True, capture_output=True,
                                  text=True)
            first, *others = map(float, done.stdout.split())
            shares.append(first / statistics.median(others))
        print(f"  first warm request / median, {kind:15} {statistics.median(shares):10.2f}  "
              f"(wanted: at most 1.5; {min(shares):.2f} to {max(shares):.2f})")


def counted(run, images):
    def work():
        run(images)
        return len(images)

    return work


def cosine(expected, found):
    least = 1.0
    for tap, a in expected.items():
        a, b = np.asarray(a, "float64"), np.asarray(found[tap], "float64")
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        least = min(least, ((a * b).sum(1) / norms).min())
    return least


def saved_model(path):
    import tensorflow as tf

    served = tf.saved_model.load(str(path))

    def run(images):
        answer = served.signatures["images"](images=tf.constant(images))
        return {tap: value.numpy() for tap, value in answer.items()}

    return run


def onnx(model, folder, images, threads):
    import onnxruntime

    path = str(folder / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,), names = session.get_inputs(), [*model.output]

    def run(images):
        answer = session.run(names, {given.name: images.astype("float32")})
        return dict(zip(names, answer, strict=True))

    return {"ONNX Runtime, float32": run}


def openvino(model, folder, images, threads):
    import openvino

    path, names = str(folder / "model.xml"), sorted(model.output)
    model.export(path, format="openvino", verbose=False)

    def made(precision):
        compiled = openvino.Core().compile_model(path, "CPU", {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY"})

        def run(images):
            answer = compiled([images.astype("float32")])
            return {tap: answer[k] for k, tap in enumerate(names)}

        return run

    return {"OpenVINO, float32": made("f32"), "OpenVINO, bfloat16": made("bf16")}


def torch(model, folder, images, threads):
    import torch

    from keras_pretext.serving.folding import folded

    torch.set_num_threads(threads)
    backbone = model.backbone
    layers = {layer.name: layer for layer in folded(backbone).layers}
    pads = {"conv1": 2, "conv2": 2, "conv3": 1, "conv4": 1, "conv5": 1}  # Gidaris et al.'s

    def made(dtype):
        def tensor(value):
            return torch.tensor(np.array(value)).to(dtype)

        convolutions, taps = {}, [*backbone.taps]
        for name in taps:
            if not name.startswith("pool"):
                kernel, bias = layers[name].get_weights()
                convolutions[name] = (
                    tensor(kernel.transpose(3, 2, 0, 1)).to(memory_format=torch.channels_last),
                    tensor(bias), layers[name].strides)
        mean, std = (torch.tensor(x, dtype=torch.float32).view(1, 3, 1, 1)
                     for x in (backbone.mean, backbone.std))

        @torch.inference_mode()
        def run(images):
            x = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last in memory
            x, out = ((x.float() - mean) / std).to(dtype), {}
            for tap in taps:
                if tap.startswith("pool"):
                    x = torch.nn.functional.max_pool2d(x, 3, 2)
                else:
                    kernel, bias, strides = convolutions[tap]
                    x = torch.nn.functional.conv2d(x, kernel, bias, strides, pads.get(tap, 0))
                    x = torch.relu_(x)
                out[tap] = x.mean((2, 3), dtype=torch.float32).numpy()
            return out

        return run

    return {"PyTorch, float32": made(torch.float32), "PyTorch, bfloat16": made(torch.bfloat16)}


if __name__ == "__main__":
    main()
