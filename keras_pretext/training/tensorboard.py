"""A run on TensorBoard: curves, speed, puzzles with the network's answers, filters, embeddings."""

import io
import pathlib
import time

import keras
import numpy as np
from PIL import Image

from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.masks import seen_by
from keras_pretext.training import checkpoint
from keras_pretext.training.answers import answered, class_name, picture
from keras_pretext.visualize.filters import first_layer_filters, tiled
from keras_pretext.visualize.puzzles import puzzle_sheet

_RENAMED = {"images_per_second": "speed/whole (images per second)",
            "model_images_per_second": "speed/model alone (images per second)",
            "data_wait": "speed/share of the time spent waiting for data"}
_SKIPPED = ("step", "images", "seconds", "health")


class TensorBoard:
    """A callback of `Trainer` that writes event files; `tensorboard --logdir FOLDER` shows them.

    At every logged step: loss, metrics, learning rate, epoch, and images per second of the whole
    and of the model alone (of the data alone, once at the start). At the end of every epoch: the
    test metrics, the health line, pictures of puzzles with the network's answers, the filters of
    the first convolution, and the embedding projector's files (those of the last epoch stay):
    pooled features of the last tap, with the pictures and, where there are any, their labels.

    It writes with the `tensorboard` package alone, on any backend, and changes nothing of what is
    trained. A resumed run goes on in the same folder; TensorBoard drops what came after the
    checkpoint.

    Args:
        folder: for the event files.
        puzzles: pictures whose puzzles are shown.
        embeddings: pictures in the projector.
        data_seconds: how long the data alone are timed at the start; 0 leaves it out.

    Raises:
        ImportError: where the `tensorboard` package is not installed.
    """

    def __init__(self, folder, puzzles=4, embeddings=500, data_seconds=2.0):
        try:
            import tensorboard.summary.writer.event_file_writer  # noqa: F401
        except ImportError as error:
            raise ImportError("event files need the package tensorboard: pip install tensorboard. "
                              f"Received: {error}") from None
        self.folder, self.puzzles = pathlib.Path(folder), puzzles
        self.embeddings, self.data_seconds = embeddings, data_seconds

    def on_start(self, trainer):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(self.folder))
        # what an interrupted run wrote after its checkpoint (or before its first) comes again
        self._writer.add_event(Event(wall_time=time.time(), step=trainer.step + 1,
                                     session_log=SessionLog(status=SessionLog.START)))
        if self.data_seconds and trainer.step < trainer.total_steps:
            rate = self._data_rate(trainer)
            self._add(trainer.step + 1, [("speed/data alone (images per second)", rate)])
        self._writer.flush()

    def on_log(self, trainer, row):
        self._add(row["step"], [(_RENAMED.get(k, f"train/{k}"), v) for k, v in row.items()
                                if k not in _SKIPPED and not k.startswith("test_")])
        self._writer.flush()  # a run that is killed leaves all that it logged

    def on_epoch(self, trainer, row):
        step = trainer.step
        self._add(step, [(f"test/{k[5:]}", v) for k, v in row.items() if k.startswith("test_")])
        self._text(step, "health", trainer.health.line())
        self._image(step, "first-layer filters", np.kron(
            first_layer_filters(trainer.model.backbone), np.ones((4, 4, 1), "uint8")))
        source = trainer.test_source or trainer.source
        try:
            self._image(step, "puzzles", np.asarray(_sheet(trainer, source, self.puzzles)))
        except ValueError as error:  # a picture that the preview refuses does not stop the run
            self._text(step, "puzzles that could not be drawn", str(error))
        self._project(trainer, source)
        self._writer.flush()

    def on_end(self, trainer):
        self._writer.close()

    def _add(self, step, scalars):
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._event(step, Summary(value=[Summary.Value(tag=tag, simple_value=float(value))
                                         for tag, value in scalars]))

    def _image(self, step, tag, picture):
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width, _ = picture.shape
        self._event(step, Summary(value=[Summary.Value(tag=tag, image=Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=_png(picture)))]))

    def _text(self, step, tag, text):
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text import metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        self._event(step, Summary(value=[Summary.Value(
            tag=tag, metadata=metadata.create_summary_metadata(tag, ""),
            tensor=make_tensor_proto([text.encode()]))]))

    def _event(self, step, summary):
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _data_rate(self, trainer):
        """Images a second of the input pipeline, nothing trained."""
        size = trainer.recipe.batch_size
        if keras.backend.backend() == "tensorflow":
            batches = iter(pipelines.pipeline(trainer.source, trainer.layer, size,
                                              trainer.recipe.seed, trainer.step))
        else:
            images = seen_by(trainer.source, trainer.layer).arrays()[0]
            batches = pipelines.array_batches(images, trainer.layer, size, trainer.recipe.seed,
                                              trainer.step)
        next(batches)
        start, count = time.perf_counter(), 0
        while count == 0 or time.perf_counter() - start < self.data_seconds:
            next(batches)
            count += 1
        return count * size / (time.perf_counter() - start)

    def _project(self, trainer, source):
        """`projector/`: vectors, labels, a sprite; and the configuration beside the event files."""
        task, backbone = trainer.task, trainer.model.backbone
        size = min(task.image_size, 64)
        count = min(self.embeddings, source.num_examples)
        framing = task.layer(augment=False).framing
        extract = backbone.extractor([*backbone.taps][-1], pooling="avg")
        vectors, small = [], []
        for start in range(0, count, 50):
            framed = np.stack([_framed(framing, picture(source, k)[..., :3])
                               for k in range(start, min(start + 50, count))])
            vectors += [*keras.ops.convert_to_numpy(extract(framed, training=False))]
            small += [np.asarray(Image.fromarray(p).resize((size, size))) for p in framed]
        folder = self.folder / "projector"
        folder.mkdir(exist_ok=True)
        rows = "".join("\t".join(f"{v:.6g}" for v in vector) + "\n" for vector in vectors)
        checkpoint.write_atomically(folder / "vectors.tsv", lambda p: p.write_text(rows))
        checkpoint.write_atomically(folder / "sprite.png",
                                    lambda p: p.write_bytes(_png(tiled(np.stack(small)))))
        names = [str(k) for k in range(count)]
        if source.has_labels:
            names = [class_name(source, k) for k in source.labels()[:count]]
        text = "".join(" ".join(name.split()) + "\n" for name in names)
        checkpoint.write_atomically(folder / "metadata.tsv",
                                    lambda p: p.write_text(text, encoding="utf-8"))
        config = ['embeddings {', '  tensor_name: "last tap, averaged over its map"',
                  '  tensor_path: "projector/vectors.tsv"',
                  '  metadata_path: "projector/metadata.tsv"']
        config += ['  sprite {', '    image_path: "projector/sprite.png"',
                   f'    single_image_dim: {size}', f'    single_image_dim: {size}', '  }', '}']
        checkpoint.write_atomically(self.folder / "projector_config.pbtxt",
                                    lambda p: p.write_text("\n".join(config) + "\n"))


def _sheet(trainer, source, count):
    """Puzzles of the first pictures; titles are green where the network's answer was right."""
    rows, marks = answered(trainer.task, trainer.model, source, count)
    if marks is None:
        return puzzle_sheet(rows, side=160)
    widest = max(len(title) for row in rows for title, _ in row)
    return puzzle_sheet(rows, side=min(max(160, 7 * widest), 256), marks=marks)


def _framed(framing, picture):
    return keras.ops.convert_to_numpy(framing(keras.ops.convert_to_tensor(picture),
                                              keras.ops.zeros((framing.num_draws,))))


def _png(picture):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
