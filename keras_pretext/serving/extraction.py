"""Features of all pictures of a data set, as sharded Parquet that grows and can be resumed."""

import concurrent.futures
import contextlib
import csv
import io
import json
import multiprocessing
import os

import numpy as np

from keras_pretext._files import as_text, get, gfile, put
from keras_pretext.data.pipeline import held_in_memory
from keras_pretext.evaluation.features import (
    check_taps,
    compiled,
    in_precision,
    size_for,
    weights_digest,
)
from keras_pretext.evaluation.pooling import POOLINGS
from keras_pretext.image.framing import CentreCrop
from keras_pretext.registry import unknown_name

PLAN, FAILED = "extract.json", "failed.csv"
_FAILED = b"failed"  # of a shard, in its metadata
_VERSION = 1  # of the tables


def extract(model, data, out, split="train", taps=None, pooling="avg", image_size=None, dtype=None,
            batch_size=64, shard_size=4096, processes=None, beam=None, progress=True):
    """Writes the features of every picture as Parquet, one file for every `shard_size` pictures.

    A row has `index` (int64), `id` (its path below the folder, its line in a list of paths, else
    its number), `label` (int64, where the data has labels), and for each tap a list of float16 of
    fixed length, all in the data's order. Pictures are framed as in evaluation: the central square,
    at the size that the network was trained at. Those that cannot be decoded, and those that the
    data leaves out when it is opened, have no row, and stand with the reason in `failed.csv`.
    `extract.json` holds what was extracted, by which weights.

    A shard takes its name when it is whole. Called again after an interruption, only the missing
    ones are computed; with another model, data or setting, the folder is refused.

    Args:
        model: a name in the zoo, the folder of an entry or of a run.
        data: what `data.open` takes: a folder, TFRecords, a TFDS name, `paths:FILE`.
        out: the folder.
        split: of the data.
        taps: names; by default the last.
        pooling: a name of `evaluation.pooling.POOLINGS`, such as "avg" for `(channels,)`.
        image_size: pixels; by default what the network was trained at.
        dtype: a dtype policy, such as "mixed_bfloat16"; by default the model's own.
        batch_size: pictures in a batch.
        shard_size: pictures in a file.
        processes: how many share the shards; by default one for each GPU, or one.
        beam: pipeline options for Apache Beam, a list of strings, in place of processes: the
            shards are then spread over its workers, which must see the same paths.
        progress: show a bar.

    Returns:
        dict: what `extract.json` holds, `rows` and `failed` among it.

    Raises:
        ValueError: unknown names, a file or a folder that holds another extraction, no picture
            that can be decoded.
        ImportError: without pyarrow, or Beam where it is asked for.
    """
    _pyarrow()
    if shard_size < 1 or batch_size < 1:
        raise ValueError("shards and batches hold at least one picture. "
                         f"Received: shard_size={shard_size}, batch_size={batch_size}")
    wanted = {"model": str(model), "data": str(data), "split": split, "taps": taps,
              "pooling": pooling, "image_size": image_size, "dtype": dtype,
              "batch_size": batch_size, "shard_size": shard_size}
    out = str(out)
    if gfile().exists(out) and not gfile().isdir(out):
        raise ValueError(f"an extraction is a folder, and this is a file. Received: {out!r}")
    job = Job(wanted)
    plan = _begin(out, job.plan)
    missing = _missing(out, plan)
    with _bar(progress, plan, missing) as advance:
        count = min(len(missing), _devices() if processes is None else processes)
        if beam is not None:
            _on_beam(wanted, out, missing, beam)
        elif count > 1:
            _in_processes(wanted, out, plan, missing, count, advance)
        elif missing:
            job.run(out, missing, advance)
    return _end(out, plan, job.left_out())


def shard_name(k, plan):
    """The file of a shard."""
    return f"features-{k:05d}-of-{plan['shards']:05d}.parquet"


def read(out, tap=None):
    """The features of a finished extraction.

    Args:
        out: its folder.
        tap: a tap's name; by default the last that was extracted.

    Returns:
        dict: `plan`, what `extract.json` holds; `index` int64 `(n,)`; `ids`, a list of strings;
        `vectors` float16 `(n, ...)`.

    Raises:
        ValueError: for a folder without a finished extraction, or a tap that it lacks.
    """
    pyarrow, out = _pyarrow(), str(out)
    plan = _read_plan(out)
    if plan is None or "rows" not in plan:
        raise ValueError("a finished extraction has an extract.json that says how many rows there "
                         f"are: run extract to its end. Received: {out!r}")
    tap = plan["taps"][-1] if tap is None else tap
    if tap not in plan["taps"]:
        raise ValueError(unknown_name(f"tap in {out}", tap, plan["taps"]))
    tables = []
    for k in range(plan["shards"]):
        file = io.BytesIO(get(os.path.join(out, shard_name(k, plan))))
        tables.append(pyarrow.parquet.read_table(file, columns=["index", "id", tap]))
    table = pyarrow.concat_tables(tables).combine_chunks()
    values = table[tap].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return {"plan": plan, "index": table["index"].to_numpy(), "ids": table["id"].to_pylist(),
            "vectors": values.reshape(len(table), *plan["taps_shape"][tap])}


class Job:
    """A model and its data, opened, and the plan that they make."""

    def __init__(self, wanted):
        import keras

        from keras_pretext import data
        from keras_pretext.backbones.base import backbone_of
        from keras_pretext.zoo.entry import pretext_model

        if wanted["pooling"] not in POOLINGS:
            raise ValueError(unknown_name("pooling", wanted["pooling"], POOLINGS))
        model = pretext_model(wanted["model"])
        backbone = backbone_of(model)
        taps = check_taps(backbone, wanted["taps"] or [[*backbone.taps][-1]])
        self.source = data.open(wanted["data"], wanted["split"])
        self.size = size_for(model, self.source, wanted["image_size"])
        if wanted["dtype"] is not None:
            backbone = in_precision(backbone, wanted["dtype"])
        inputs = keras.Input((self.size, self.size, 3), name="images", dtype="uint8")
        self._run, shapes = compiled(inputs, backbone.extractor(taps)(inputs), wanted["pooling"])
        self.batch_size, count = wanted["batch_size"], self.source.num_examples
        self.plan = {
            "version": _VERSION, **{k: v for k, v in wanted.items() if k != "batch_size"},
            "taps": taps, "taps_shape": {tap: list(shape) for tap, shape in shapes.items()},
            "image_size": self.size, "weights": weights_digest(backbone),
            "fingerprint": self.source.fingerprint(), "pictures": count,
            "shards": -(-count // wanted["shard_size"])}

    def left_out(self):
        """`[id, reason]` of the pictures that the data left out when it was opened."""
        return [[as_text(self.source.below(path)), reason] for path, reason in self.source.skipped]

    def run(self, out, shards, advance=lambda rows: None):
        """Computes shards, in order, and writes each when it is whole."""
        ends = [min(self.plan["pictures"], (k + 1) * self.plan["shard_size"]) for k in shards]
        wanted = [np.arange(k * self.plan["shard_size"], end)
                  for k, end in zip(shards, ends, strict=True)]
        index, parts, waiting = [], [], list(zip(shards, wanted, strict=True))
        for found, images in self.pictures(np.concatenate(wanted)):
            vectors = self.vectors(images)
            index, parts = np.concatenate([index, found]).astype(np.int64), [*parts, vectors]
            advance(len(found))
            while len(waiting) > 1 and index[-1] > waiting[0][1][-1]:
                index, parts = self._write(out, *waiting.pop(0), index, parts)
        for shard, places in waiting:
            index, parts = self._write(out, shard, places, index, parts)

    def vectors(self, images):
        """float16 features of pictures, uint8 `(n, size, size, 3)`: a dict from tap."""
        short = self.batch_size - len(images)  # one shape, one graph
        found = self._run(np.pad(images, [(0, max(0, short)), (0, 0), (0, 0), (0, 0)]))
        return {tap: x[:len(images)] for tap, x in found.items()}

    def framed(self, image):
        """A picture, uint8 `(height, width, 3)`, as the network sees it."""
        import tensorflow as tf

        return self._framed(tf.constant(image)).numpy()

    def _framed(self, image, encoded=False):
        import tensorflow as tf

        from keras_pretext.data.decode import crop_framed, decode_framed

        frame = decode_framed if encoded else crop_framed
        return tf.ensure_shape(frame(image, CentreCrop(self.size), tf.zeros((0,))),
                               (self.size, self.size, 3))

    def _picture(self, k):
        return self._framed(self.source.fetch(k)["image"], self.source.encoded)

    def pictures(self, index):
        """`(index, uint8 (n, size, size, 3))` in order, without what cannot be decoded."""
        import tensorflow as tf

        # encoded ones one by one, so that one that cannot be decoded costs no other
        held = (tf.constant(self.source.arrays()[0])
                if held_in_memory(self.source) and not self.source.encoded else None)

        def picture(k):
            return k, self._picture(k) if held is None else self._framed(tf.gather(held, k))

        options = tf.data.Options()
        options.autotune.enabled = False  # with it, freeing an iterator stalls (TensorFlow 2.21)
        stream = tf.data.Dataset.from_tensor_slices(np.asarray(index, "int64"))
        stream = stream.map(picture, os.cpu_count(), deterministic=True).ignore_errors()
        stream = stream.batch(self.batch_size).prefetch(2).with_options(options)
        for k, images in stream:
            yield k.numpy(), images.numpy()

    def _write(self, out, shard, wanted, index, parts):
        """Writes a shard of the rows that are its own; gives back the others.

        Pictures that failed are tried once more: a read over a network may fail once.
        """
        pyarrow = _pyarrow()
        missing = np.setdiff1d(wanted, index)
        for found, images in self.pictures(missing) if len(missing) else ():
            index = np.concatenate([index, found]).astype(np.int64)
            parts = [*parts, self.vectors(images)]
        order = np.argsort(index)
        index = np.asarray(index, np.int64)[order]
        mine = int(np.searchsorted(index, wanted[-1], "right"))
        vectors = {tap: np.concatenate([part[tap] for part in parts] or [np.zeros((0, *shape))])
                   [order] for tap, shape in self.plan["taps_shape"].items()}
        rows, failed = index[:mine], np.setdiff1d(wanted, index[:mine])
        columns = {"index": pyarrow.array(rows, pyarrow.int64()),
                   "id": pyarrow.array(map(self._id, rows), pyarrow.string())}
        if self.source.has_labels:
            columns["label"] = pyarrow.array(np.asarray(self.source.labels(), np.int64)[rows])
        for tap, values in vectors.items():
            length = int(np.prod(self.plan["taps_shape"][tap]))
            values = values[:mine].astype(np.float16).reshape(mine, length)
            if not np.isfinite(values.sum(dtype=np.float32)):
                raise ValueError(f"the features of tap {tap!r} are not finite in float32. "
                                 f"Received: {self.plan['model']}")
            columns[tap] = pyarrow.FixedSizeListArray.from_arrays(
                pyarrow.array(values.ravel()), length)
        table = pyarrow.table(columns).replace_schema_metadata({_FAILED: json.dumps(
            [[self._id(k), self._reason(k, shard)] for k in failed.tolist()])})
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file)
        put(os.path.join(out, shard_name(shard, self.plan)), file.getvalue())
        return index[mine:], [{tap: x[mine:] for tap, x in vectors.items()}]

    def _id(self, k):
        return as_text(self.source.identity(k))

    def _reason(self, k, shard):
        """Why a picture has no features."""
        import tensorflow as tf

        try:
            self._picture(k)
        except (tf.errors.OpError, ValueError) as error:
            return " ".join(str(getattr(error, "message", error)).split())[:300]
        return (f"it failed twice and can be read now: remove {shard_name(shard, self.plan)} and "
                "extract again")


def _in_processes(wanted, out, plan, missing, count, advance):
    """Shares shards among processes, each with a GPU of its own where there are any."""
    context, left = multiprocessing.get_context("spawn"), len(missing)
    with concurrent.futures.ProcessPoolExecutor(count, context) as pool:
        jobs = [pool.submit(_one_process, wanted, out, missing[k::count], k) for k in range(count)]
        while True:
            done, running = concurrent.futures.wait(jobs, 1, concurrent.futures.FIRST_EXCEPTION)
            now = len(_missing(out, plan))
            advance((left - now) * plan["shard_size"])
            left = now
            for job in done:
                job.result()
            if not running:
                return


def _one_process(wanted, out, shards, place):
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = gpus.split(",") if gpus else [str(place)]
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]  # nothing has run yet
    Job(wanted).run(out, shards)


def _devices():
    """How many GPUs TensorFlow sees; at least 1."""
    import tensorflow as tf

    return max(1, len(tf.config.list_physical_devices("GPU")))


def _on_beam(wanted, out, missing, options):
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise ImportError("extraction on Beam needs apache-beam: pip install "
                          "'keras_pretext[beam]'") from None

    class Shard(beam.DoFn):
        def setup(self):
            self.job = Job(wanted)

        def process(self, shard):
            self.job.run(out, [shard])

    with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
        _ = (pipeline | beam.Create(missing) | beam.Reshuffle() | beam.ParDo(Shard()))


def _begin(out, plan):
    """The plan, written; of a folder that has one already it must be the same."""
    known = _read_plan(out)
    if known is None:
        gfile().makedirs(out)
        put(os.path.join(out, PLAN), json.dumps(plan, indent=1).encode())
        return plan
    same = json.loads(json.dumps(plan))  # as JSON gives it back
    other = sorted(k for k in same if known.get(k) != same[k])
    if other:
        shown = ", ".join(f"{k} {known.get(k)!r} and now {same[k]!r}" for k in other)
        raise ValueError("this folder holds another extraction; choose another folder, or remove "
                         f"it. Received: {out!r} with {shown}")
    return plan


def _end(out, plan, left_out):
    """Counts rows, lists what failed or was left out, and writes that it is done."""
    pyarrow, rows, failed = _pyarrow(), 0, []
    for k in range(plan["shards"]):
        file = io.BytesIO(get(os.path.join(out, shard_name(k, plan))))
        about = pyarrow.parquet.ParquetFile(file).metadata
        rows += about.num_rows
        failed += json.loads(about.metadata[_FAILED])
    failed += left_out
    listed = os.path.join(out, FAILED)
    if failed:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([["id", "reason"], *failed])
        put(listed, text.getvalue().encode("utf-8", "surrogateescape"))
    elif gfile().exists(listed):  # of an earlier time
        gfile().remove(listed)
    if not rows:
        raise ValueError(f"none of the {plan['pictures']} pictures can be decoded, see {FAILED}: "
                         f"{failed[0][1]}. Received: {plan['data']!r}")
    plan = {**plan, "rows": rows, "failed": len(failed)}
    put(os.path.join(out, PLAN), json.dumps(plan, indent=1).encode())
    return plan


def _read_plan(out):
    path = os.path.join(out, PLAN)
    return json.loads(get(path)) if gfile().exists(path) else None


def _missing(out, plan):
    there = set(gfile().listdir(out))
    return [k for k in range(plan["shards"]) if shard_name(k, plan) not in there]


@contextlib.contextmanager
def _bar(progress, plan, missing):
    from tqdm import tqdm

    done = plan["pictures"] - sum(
        min(plan["pictures"], (k + 1) * plan["shard_size"]) - k * plan["shard_size"]
        for k in missing)
    with tqdm(total=plan["pictures"], initial=done, unit=" pictures", disable=not progress) as bar:
        yield bar.update


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("tables of features need pyarrow: pip install "
                          "'keras_pretext[extract]'") from None
    return pyarrow
