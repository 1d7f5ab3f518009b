"""A folder that `tensorflow_model_server` and its Docker image take as it is."""

import io
import json
import pathlib

from keras_pretext.serving import messages
from keras_pretext.serving.decoding import MAX_PIXELS

DTYPES = ("float32", "mixed_bfloat16")
# Largest difference of a golden answer in bfloat16, as a share of the largest value of its tap:
# 8 bits of mantissa through all layers. A wrong picture or network gives 1e-1 and more.
_BFLOAT16_TOLERANCE = 3e-2
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
CONTRACT = "assets.extra/contract.json"
WARMUP = "assets.extra/tf_serving_warmup_requests"
OPTIONS = ("--model_config_file={0}/models.config",
           # without it a label is refused while its version is not loaded yet
           "--allow_version_labels_for_unavailable_models=true",
           "--enable_batching=true", "--batching_parameters_file={0}/batching.config",
           "--monitoring_config_file={0}/monitoring.config")


def serve_bundle(names, out, base="/models", tap=None, whitening=None, image_size=None,
                 batch_sizes=BATCH_SIZES, max_pixels=MAX_PIXELS, dtype="float32"):
    """Writes zoo entries for TF Serving: `<out>/<model>/<version>/` and the server's files.

    Each SavedModel is written anew from the entry's weights, and answers the entry's golden
    pictures before the folder gets its name. Of a model's versions the highest has the label
    `stable`; where there are several, the highest has `canary` and the one before it `stable`.

    Args:
        names: a zoo name (`name`, `name@version`, the folder of an entry) or a list of them.
        out: the folder; it must not exist.
        base: where the server will see that folder; the Docker file mounts it at `/models`.
        tap, whitening, max_pixels: of `signatures.export`, for all models. The tap of the
            embedding is by default the one whose linear probe on the card is best, of the
            entry's own weights on the first data set that the card has such probes of.
        image_size: side in pixels for encoded pictures; the card's by default.
        batch_sizes: what the server fills batches up to, ascending; the last is the largest
            batch that it takes.
        dtype: "float32", or "mixed_bfloat16" for faster answers that differ by up to about 1 %
            of the largest feature; what they are given in is float32 all the same.

    Returns:
        `out` as a pathlib.Path.

    Raises:
        ValueError: for an unknown or damaged entry, one named twice, a folder that exists, batch
            sizes that do not ascend, a relative `base`, an unknown tap or dtype.
    """
    from keras_pretext.image.framing import checked_side
    from keras_pretext.zoo import store

    names = [names] if isinstance(names, str | pathlib.Path) else [*names]
    out, batch_sizes = pathlib.Path(out), [*batch_sizes]
    image_size = None if image_size is None else checked_side(image_size)
    if not names:
        raise ValueError("a bundle holds at least one model. Received: none")
    if not batch_sizes or batch_sizes != sorted({*batch_sizes}) or not all(
            isinstance(b, int) and b > 0 for b in batch_sizes):
        raise ValueError(f"batch sizes are whole numbers that ascend. Received: {batch_sizes}")
    if not base.startswith("/") or '"' in base or "\n" in base:
        raise ValueError(f"base is an absolute path on the server. Received: {base!r}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype is one of {', '.join(DTYPES)}. Received: {dtype!r}")
    if out.exists():
        raise ValueError(f"a bundle is written to a folder that is not there yet. Received: {out}")
    cards = {}
    for name in names:
        folder = store.find(name)
        store.check_sums(folder)
        card = store.read_json(folder / "card.json")
        store.check_name(card["name"])
        key = card["name"], int(card["version"])
        if key in cards:
            raise ValueError(f"each version of a model is named once. Received: {key[0]}@{key[1]} "
                             "twice")
        cards[key] = folder, card
    models = {}
    for name, version in sorted(cards):
        models.setdefault(name, []).append(version)

    with store.Draft(out) as draft:
        taps = {}
        for (name, version), (folder, card) in cards.items():
            taps[name, version] = tap or _best_tap(card)
            _write_model(folder, draft / name / str(version), f"{name}@{version}",
                         image_size or card["image_size"], taps[name, version], whitening,
                         batch_sizes, max_pixels, card, dtype)
        base = base.rstrip("/")
        texts = {"models.config": _models(models, base), "batching.config": _batching(batch_sizes),
                 "monitoring.config": _MONITORING, "docker-compose.yml": _compose(base),
                 "README.md": _readme(models, taps, base, batch_sizes)}
        for file, text in texts.items():
            (draft / file).write_text(text)
    return out


def labels(versions):
    """Label to version, of a model's versions: `stable`, and `canary` where there are several."""
    first, *rest = sorted(versions, reverse=True)
    return {"canary": first, "stable": rest[0]} if rest else {"stable": first}


def _best_tap(card):
    """The tap that the entry's linear probes on the first data find best; None without any."""
    from keras_pretext.zoo.card import weights_of

    own = [((metric.get("settings") or {}).get("test"), metric["taps"])
           for metric in card.get("metrics") or () if metric["protocol"].endswith("-linear")
           and weights_of(metric, card["name"]) == "this entry"]
    found = {}
    for data, taps in own:
        if data == own[0][0]:
            for tap, measured in taps.items():
                found[tap] = max(found.get(tap, 0), measured["last_mean"])
    return max(found, key=found.get) if found else None


def _write_model(folder, target, name, size, tap, whitening, batch_sizes, max_pixels, card,
                 dtype):
    from keras_pretext import zoo
    from keras_pretext.serving.signatures import ask, export
    from keras_pretext.training.precision import precision
    from keras_pretext.zoo import entry, weights

    with precision(dtype):
        model = zoo.load(folder)
        target.mkdir(parents=True)
        contract = export(model, target, size, tap, whitening, name, max_pixels)
    (target / CONTRACT).parent.mkdir()
    (target / CONTRACT).write_text(json.dumps(contract, indent=1) + "\n")
    golden = weights.read_arrays(folder / "golden.npz")
    images = golden.pop("images")
    golden.pop("logits", None)
    for by, answer in ask(target, images).items():
        if by == "serving_default" and size != images.shape[1]:
            continue  # the golden pictures are resized there
        off = entry.difference(golden, answer)
        tolerance = card.get("golden_tolerance", entry.TOLERANCE)
        if not off <= (tolerance if dtype == "float32" else max(tolerance, _BFLOAT16_TOLERANCE)):
            raise ValueError(f"the golden pictures give another answer by {by}: off by {off:.2g} "
                             f"of the largest feature. Received: {name}")
    _write_warmup(target / WARMUP, name.partition("@")[0], size, batch_sizes)


def _write_warmup(path, name, size, batch_sizes):
    """One request for each signature and batch size, as TF Serving replays them on loading."""
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    ramp = np.linspace(0, 255, size).astype("uint8")
    picture = io.BytesIO()
    Image.fromarray(np.stack([np.tile(ramp, (size, 1))] * 3, -1)).save(picture, "JPEG")
    with tf.io.TFRecordWriter(str(path)) as file:
        for batch in batch_sizes:
            encoded = messages.filled((batch,), "object", picture.getvalue())
            images = messages.filled((batch, size, size, 3), "uint8", 127)
            for signature, key, value in (
                    ("serving_default", "bytes", encoded), ("embedding", "bytes", encoded),
                    ("embedding_float32", "bytes", encoded), ("images", "images", images),
                    ("features", "images", images), ("metadata", "ask", encoded)):
                log = messages.new("PredictionLog")
                request = log.predict_log.request
                request.model_spec.CopyFrom(messages.spec(name, signature=signature))
                request.inputs[key].CopyFrom(value)
                file.write(log.SerializeToString())


def _models(models, base):
    parts = []
    for name, versions in models.items():
        policy = " ".join(f"versions: {v}" for v in versions)
        rows = "".join(f'    version_labels {{ key: "{label}" value: {version} }}\n'
                       for label, version in labels(versions).items())
        parts.append(f'  config {{\n    name: "{name}"\n    base_path: "{base}/{name}"\n'
                     f'    model_platform: "tensorflow"\n'
                     f'    model_version_policy {{ specific {{ {policy} }} }}\n{rows}  }}\n')
    return "model_config_list {\n" + "".join(parts) + "}\n"


def _batching(batch_sizes):
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in batch_sizes)
    return (f"max_batch_size {{ value: {batch_sizes[-1]} }}\n"
            "batch_timeout_micros { value: 1000 }\n"
            "max_enqueued_batches { value: 100 }\n"
            "num_batch_threads { value: 4 }  # as many as the host has cores\n" + sizes)


_MONITORING = """prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""


def _compose(base):
    options = "".join(f"      - {option.format(base)}\n" for option in OPTIONS)
    return f"""services:
  serving:
    image: ${{TF_SERVING_IMAGE:-tensorflow/serving:latest}}
    command:
{options}    ports:  # this host only; gRPC and REST
      - "127.0.0.1:8500:8500"
      - "127.0.0.1:8501:8501"
    volumes:
      - .:{base}:ro
    restart: unless-stopped
"""


def _readme(models, taps, base, batch_sizes):
    rows = "".join(
        f"| {name} | {version} | "
        f"{', '.join(k for k, v in labels(versions).items() if v == version)} | "
        f"{taps[name, version] or 'the last'} |\n"
        for name, versions in models.items() for version in versions)
    options = " \\\n    ".join(option.format("$PWD/local") for option in OPTIONS)
    return _README.format(rows=rows, base=base, options=options, first=next(iter(models)),
                          most=batch_sizes[-1])


_README = """# Models for TF Serving

| model | version | label | tap of the embedding |
|---|---|---|---|
{rows}
With Docker, in this folder (gRPC on port 8500, REST on 8501, of this host only;
`TF_SERVING_IMAGE` chooses another image):

```sh
docker compose up
```

Without Docker, where `tensorflow_model_server` is on the PATH. The paths in `models.config` begin
with `{base}`; the first lines write a copy of the server's files for this folder:

```sh
mkdir -p local && cp *.config local/
sed -i "s#base_path: \\"{base}/#base_path: \\"$PWD/#" local/models.config
tensorflow_model_server --port=8500 --rest_api_port=8501 \
    {options}
```

From a shell:

```sh
curl http://localhost:8501/v1/models/{first}/labels/stable
curl http://localhost:8501/v1/models/{first}/metadata
echo '{{"inputs": {{"bytes": [{{"b64": "'$(base64 -w0 picture.jpg)'"}}]}}}}' |
    curl -d @- http://localhost:8501/v1/models/{first}/labels/stable:predict
curl http://localhost:8501/monitoring/prometheus/metrics
```

From Python, with `pip install "keras_pretext[serving]"`:

```python
from keras_pretext.serving import Client

client = Client("grpc://localhost:8500", "{first}", label="stable")
vectors = client.predict(["picture.jpg"], "embedding")["embedding"]
```

| signature | takes | gives |
|---|---|---|
| `serving_default` | `bytes`: encoded pictures of any sizes | all taps, averaged; `valid` |
| `images` | `images`: uint8 (batch, height, width, 3) | all taps, averaged over their maps |
| `features` | `images` | all taps as maps |
| `embedding` | `bytes` | `embedding`, float16, of norm one; `valid` |
| `embedding_float32` | `bytes` | the same as float32: REST has no float16 |
| `metadata` | `ask`: any strings | `contract`: JSON of taps, shapes, ranges, normalisation |

A request holds at most {most} pictures. The server puts requests together into one batch, so all
clients should ask `images` and `features` with pictures of one size; `bytes` may be of any.
"""
