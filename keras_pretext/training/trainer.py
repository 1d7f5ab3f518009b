"""The training loop: one for TensorFlow (any tf.distribute strategy), one for other backends."""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time

import keras
import numpy as np

from keras_pretext import data
from keras_pretext.data import pipeline as pipelines
from keras_pretext.data import service
from keras_pretext.data.arrays import ArraySource
from keras_pretext.data.masks import seen_by
from keras_pretext.data.source import check_held_out
from keras_pretext.tasks.base import Task
from keras_pretext.training import (
    checkpoint,
    cluster,
    features,
    optimizers,
    schedules,
    tables,
)
from keras_pretext.training.health import Health, NotFinite
from keras_pretext.training.precision import advice, precision
from keras_pretext.training.pretext_metrics import compiled, evaluate
from keras_pretext.training.recipe import load_recipe
from keras_pretext.training.runs import load_run, locked

LOG_STEPS = 20


def on_tensorflow():
    return keras.backend.backend() == "tensorflow"


class Trainer:
    """A run of a recipe in a folder, from its start or from where it was interrupted.

    Args:
        recipe: a `Recipe`.
        out: the run's folder. It gets `recipe.json`, `manifest.json`, `metrics.jsonl`,
            `checkpoints/` and, at the end, `final/model.keras`.
        strategy: a `tf.distribute.Strategy` on TensorFlow, a `keras.distribution.DataParallel` on
            JAX; none by default. Of the processes of several hosts the chief alone writes the
            folder, which all of them see, and calls the callbacks.
        xla: compile forward and gradient with XLA; by default where there is a GPU and the
            recipe does not ask for deterministic kernels (XLA lacks some).
        callbacks: objects with any of `on_start(trainer)`, `on_log(trainer, row)`,
            `on_epoch(trainer, row)`, `on_end(trainer)`.
        max_steps: stop (resumably) after this many steps; for tests and timings.
        input_servers: list of "HOST:PORT" that make the batches (TensorFlow), see `data.service`.

    Attributes:
        stopped: whether `run` ended early on SIGTERM, after it had saved.
    """

    def __init__(self, recipe, out, strategy=None, xla=None, callbacks=(), max_steps=None,
                 progress=True, input_servers=()):
        self.recipe, self.out = recipe, pathlib.Path(out)
        self.strategy, self.callbacks, self.max_steps = strategy, list(callbacks), max_steps
        self.progress, self.stopped, self.cluster = progress, False, cluster.of(strategy)
        self.cluster.together(self._open)
        self.cluster.chief_first(self._prepare_folder)
        self.task.adopt(self.prepared)
        examples = self.task.examples(self.source, self.prepared)
        if examples is not None:
            self.source = ArraySource(*examples, name=self.source.name, split=self.source.split)
            self.test_source = self.test_source and self.source
        self.steps_per_epoch = pipelines.steps_per_epoch(
            self.source.num_examples * self.task.layer().visits, recipe.batch_size)
        self.total_steps = max(1, round(self.steps_per_epoch * recipe.epochs))
        if on_tensorflow():
            import tensorflow as tf

            if xla is None:
                gpu = bool(tf.config.list_physical_devices("GPU"))
                xla = gpu and not recipe.deterministic
            if recipe.deterministic and xla:
                raise ValueError("XLA has no deterministic gradient of max pooling: choose "
                                 "deterministic=False in the recipe, or xla=False. "
                                 f"Received: xla={xla}, deterministic={recipe.deterministic}")
            if recipe.deterministic:
                tf.config.experimental.enable_op_determinism()
            self.strategy = strategy or tf.distribute.get_strategy()
            self.replicas = self.strategy.num_replicas_in_sync
            scope = self.strategy.scope()
        elif strategy is None:
            self.replicas, scope = 1, contextlib.nullcontext()
        else:
            if not isinstance(strategy, keras.distribution.DataParallel):
                raise ValueError("a tf.distribute strategy needs the TensorFlow backend; on JAX "
                                 "it is a keras.distribution.DataParallel. "
                                 f"Received: {strategy!r} on {keras.backend.backend()!r}")
            self.replicas, scope = strategy.device_mesh.devices.size, strategy.scope()
        if recipe.batch_size % self.replicas:
            raise ValueError(f"batch_size is a multiple of the {self.replicas} replicas. "
                             f"Received: {recipe.batch_size}")
        self.input_servers = list(input_servers)
        self.cluster.together(lambda: self.input_servers and service.check(
            self.input_servers, self.source, self.task.layer(), recipe.batch_size, self.replicas))
        with scope, precision(recipe.precision):
            keras.utils.set_random_seed(recipe.seed)
            self.model = self.task.attach(recipe.build_backbone())
            self.model.xla = bool(xla)
            first, *others = (self._optimizer(share) for share in self.model.rate_shares)
            self.model.compile(optimizer=first, **self.task.objective())
            self.model.build_optimizers(*others)
            self.layer = self.task.layer()
            _build_metrics(self.model, self.layer)
        self.step, self.seconds, self._asked_to_stop = 0, 0.0, False
        self.health = Health(self.task.chance, diagnose=lambda: self.task.diagnose(self))
        self.tables = self.task.tables(self.source, recipe.seed)
        self._restore()

    def _rate(self, share):
        """A share of the recipe's learning rate: a function of the step, or a number."""
        return schedules.build(self.recipe.schedule, self.recipe.learning_rate * share,
                               self.steps_per_epoch, self.recipe.epochs)

    def _rate_now(self):
        """Of the first optimizer, by the run's own count: on JAX the optimizer's is behind."""
        rate = self._rate(self.model.rate_shares[0])
        return float(keras.ops.convert_to_numpy(rate(self.step) if callable(rate) else rate))

    def _optimizer(self, share):
        """As the recipe has it, at a share of its learning rate."""
        recipe, rate = self.recipe, self._rate(share)
        return optimizers.build(recipe.optimizer, rate, recipe.momentum, recipe.nesterov,
                                recipe.weight_decay, self.task.without_momentum)

    # -- the folder -------------------------------------------------------------------------

    def _open(self):
        recipe = self.recipe
        self.task = recipe.build_task()
        self.data = self.source = data.open(recipe.data, split=recipe.split)
        self.test_source = (data.open(recipe.data, split=recipe.test_split)
                            if recipe.test_split else None)
        own = type(self.task).examples is not Task.examples  # it tests on what it trains on
        if self.test_source is not None and not own:
            check_held_out(self.data, self.test_source)
        begins = recipe.initial and not (self.out / "checkpoints").is_dir()
        self.initial = initial_weights(recipe) if begins else None  # refused before any writing

    def _prepare_folder(self):
        kept = self.out / "recipe.json"
        if self.cluster.chief:
            self._check_writable()
            with locked(self.out):  # nothing is written into the folder of a run that goes on
                pass
        else:
            self.cluster.awaited(kept)
        self._check_recipe(kept)
        self.prepared = tables.prepared(self.task, self.source, self.recipe.seed, self.out,
                                        write=self.cluster.chief)

    def _check_writable(self):
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            probe = self.out / ".writable"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise ValueError(f"the output folder cannot be written ({error.strerror}). "
                             f"Received: {self.out}") from None

    def _check_recipe(self, kept):
        """Writes the recipe, or compares it with the one that this folder's run was begun with."""
        if kept.exists():
            other = json.loads(kept.read_text())
            if load_recipe(kept).fingerprint() == self.recipe.fingerprint():
                return
            if (self.out / "manifest.json").exists() or (self.out / "checkpoints").exists():
                mine = self.recipe.to_dict()
                differ = [k for k in mine if mine[k] != other.get(k)]
                raise ValueError(f"{self.out} holds a run of another recipe (it differs in "
                                 f"{', '.join(differ)}). Use another folder, or that recipe. "
                                 f"Received: {self.recipe.name!r}")
            (self.out / "prepared.npz").unlink(missing_ok=True)  # a start that failed, or a check
        checkpoint.write_json(kept, self.recipe.to_dict())

    def _restore(self):
        self._log = self.out / "metrics.jsonl"
        found = self._read(self.out / "checkpoints")
        if not found:
            if self.recipe.initial:
                self.model.backbone.set_weights(self.initial or initial_weights(self.recipe))
            return
        self._take(*found)

    def _trim_log(self):
        """Drops the rows that come after the checkpoint: they come again."""
        if self.step == 0:
            self._log.unlink(missing_ok=True)
        elif self._log.exists():
            rows = [r for r in self._log.read_text().splitlines(True)
                    if r.endswith("\n") and json.loads(r)["step"] <= self.step]
            checkpoint.write_atomically(self._log, lambda p: p.write_text("".join(rows)))

    def _former_data(self, manifest, fingerprint):
        """What a resumed run was trained on before its data changed, by its former manifest."""
        if not self.step or not manifest:
            return []
        then, former = manifest["data"], manifest.get("former_data", [])
        if then["fingerprint"] == fingerprint:
            return former
        print("the data of this run have changed since it began: from here on the order of the "
              f"pictures and the schedule are those of {self.data.num_examples} pictures, not "
              f"{then['num_examples']}", file=sys.stderr)
        return [*former, {**then, "until_step": self.step}]

    def _read(self, folder):
        """The chief's newest checkpoint in a folder, or None: the same for all hosts."""
        found = checkpoint.latest(folder) if self.cluster.chief else None
        step = self.cluster.agreed(found[1]["step"] if found else -1)

        def same():
            path = self.cluster.awaited(checkpoint.path_of(folder, step))
            taken = checkpoint.newest([path])
            if taken is None:
                raise ValueError(f"this checkpoint cannot be read here. Received: {path}")
            return taken

        return self.cluster.together(same) if self.cluster.count > 1 and step >= 0 else found

    def _take(self, values, state, kept):
        variables = checkpoint.variables_of(self.model)
        if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
            raise ValueError("the checkpoint's variables do not fit this recipe's model. "
                             f"Received: {self.out / 'checkpoints'}")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.tables = tables.checked(kept, self.tables, self.out / "checkpoints")
        self.step, self.seconds = state["step"], state["seconds"]
        self.health.set_state(state["health"])

    def _save(self, folder="checkpoints"):
        if on_tensorflow():
            self._average_replicas()
        # all hosts read: what replicas keep apart (metrics) is summed over them
        values = [keras.ops.convert_to_numpy(v) for v in checkpoint.variables_of(self.model)]
        state = {"seconds": self.seconds, "health": self.health.state()}
        if self.cluster.chief:
            checkpoint.save(self.out / folder, self.step, values, state, self.tables)

    def _average_replicas(self):
        """Every replica keeps its own running statistics; what is saved is their mean."""
        if self.replicas == 1:
            return
        if not hasattr(self, "_means"):
            import tensorflow as tf

            self._averaged = [v for v in self.model.non_trainable_variables if "float" in v.dtype]

            def means():
                parts = self.strategy.run(lambda: [tf.identity(v.value) for v in self._averaged])
                return [self.strategy.reduce(tf.distribute.ReduceOp.MEAN, part, axis=None)
                        for part in parts]

            self._means = tf.function(means)
        if self._averaged:
            for variable, mean in zip(self._averaged, self._means(), strict=True):
                variable.assign(mean)

    def _begin_epoch(self, epoch):
        """The task's `on_epoch_start`: on the chief, and the others take what came of it."""
        with self.cluster.own(checkpoint.variables_of(self.model) if self.cluster.chief else ()):
            if self.cluster.chief:
                self.task.on_epoch_start(self, epoch)
            if self.cluster.count > 1:
                if self.cluster.chief:
                    shutil.rmtree(self.out / "begun", ignore_errors=True)  # of a killed run
                self._save("begun")
        if self.cluster.count > 1:
            self._take(*self._read(self.out / "begun"))
            self.cluster.agreed(0)
            if self.cluster.chief:
                shutil.rmtree(self.out / "begun")
        self._adopt()

    # -- steps ------------------------------------------------------------------------------

    def _streams(self, make):
        """Endless batches of `make(steps)`: one stream, or one for each epoch where the task
        chooses anew what an epoch shows.
        """
        while True:
            steps = None
            if self.task.before_stream:
                epoch, done = divmod(self.step, self.steps_per_epoch)
                self.task.before_stream(self, epoch)
                self._adopt()
                steps = self.steps_per_epoch - done
            yield from make(steps)

    def _tensorflow_steps(self):
        import tensorflow as tf

        def stream_of(steps, share=pipelines.WHOLE):
            make = functools.partial(pipelines.pipeline, self.source, self.layer,
                                     self.recipe.batch_size, self.recipe.seed, self.step)
            if self.input_servers:
                return service.joined(make, self.input_servers, share, steps)
            return make(steps=steps, share=share)

        def make(steps):
            batches = distributed(steps)
            return (service.watched(batches, self.input_servers, steps) if self.input_servers
                    else batches)

        def distributed(steps):
            if self.cluster.count > 1:  # a host reads only the pictures of its own replicas
                mine = self.replicas // self.cluster.count
                first = self.cluster.index * mine
                share = (range(first, first + mine), self.replicas)
                return self.strategy.distribute_datasets_from_function(
                    lambda context: stream_of(steps, share=share))
            stream = stream_of(steps)
            if self.replicas == 1:
                return stream
            options = tf.data.Options()
            options.experimental_distribute.auto_shard_policy = (
                tf.data.experimental.AutoShardPolicy.OFF)
            return self.strategy.experimental_distribute_dataset(stream.with_options(options))

        batches = self._streams(make)

        def step(batch, stop):
            return {**self.model.train_step(batch), "stop": stop}

        @tf.function
        def run(batch, stop):
            logs = self.strategy.run(step, args=(batch, stop))
            return {k: self.strategy.reduce(tf.distribute.ReduceOp.MEAN, v, axis=None)
                    if self.replicas > 1 else v for k, v in logs.items()}

        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except tf.errors.InvalidArgumentError as error:
                self._find_undecodable()
                raise error
            waited = time.perf_counter() - start
            if self.task.before_step:
                batch = (batch[0], tables.labels(self, *batch))
            logs = run(batch, tf.constant(float(self._asked_to_stop)))
            yield {k: float(v) for k, v in logs.items()}, waited

    def _find_undecodable(self):
        """Raises DataError with the picture of this step's batch that cannot be decoded."""
        count, layer = self.source.num_examples, self.layer
        epoch, index = next(pipelines.index_batches(
            count * layer.visits, self.recipe.batch_size, self.recipe.seed, self.step))
        for k in np.unique(np.asarray(layer.shown(epoch, index % count))):
            self.source.check_decodable(int(k))

    def _other_steps(self):
        """Arrays in, the task layer on the device, a jitted functional step (JAX)."""
        import jax

        images, labels = seen_by(self.source, self.layer).arrays()
        model, layer, puzzle = self.model, self.layer, compiled(self.layer)
        place, outputs, own = (lambda arrays: arrays), {}, range(self.replicas)
        if self.strategy is not None:  # the compiler cuts the step as its batch is cut
            mesh, names = self.strategy.device_mesh.backend_mesh, jax.sharding.PartitionSpec
            cut = jax.sharding.NamedSharding(mesh, names(self.strategy.batch_dim_name))
            outputs["out_shardings"] = jax.sharding.NamedSharding(mesh, names())
            own = [k for k, device in enumerate(mesh.devices.flat)
                   if device.process_index == self.cluster.index]

            def place(arrays):  # a host gives the part of its own devices
                return jax.tree.map(
                    lambda part: jax.make_array_from_process_local_data(cut, part), arrays)

        @functools.partial(jax.jit, **outputs)
        def run(state, given, images, draws, stop):
            inputs, pseudolabels = layer(images, draws)
            ready = not (layer.uses_labels or layer.uses_index)
            logs, state = model.train_step(state, (inputs, pseudolabels if ready else given))
            return {**logs, "stop": stop.sum()}, state

        batches = self._streams(lambda steps: pipelines.ahead(itertools.islice(
            pipelines.array_batches(images, layer, self.recipe.batch_size, self.recipe.seed,
                                    self.step, (own, self.replicas)), steps)))
        while True:
            start = time.perf_counter()
            index, *batch = next(batches)
            given = labels[index] if layer.uses_labels else index
            given, batch = place((given, batch))
            waited = time.perf_counter() - start
            if self.task.before_step:
                chosen = np.asarray(tables.labels(self, puzzle(*batch)[0], given))
                parts = np.split(chosen, self.replicas)
                given = place(np.concatenate([parts[k] for k in own]))
            stop = place(np.full(len(own), self._asked_to_stop, "float32"))
            logs, self._state = run(self._state, given, *batch, stop)
            yield {k: float(v) for k, v in logs.items()}, waited

    def _groups(self):
        return (self.model.trainable_variables, self.model.non_trainable_variables,
                [v for optimizer in self.model.optimizers for v in optimizer.variables],
                self.model.metrics_variables)

    def _adopt(self):
        """The model's variables, which a task may have changed, into the functional state."""
        if not on_tensorflow():
            self._state = tuple([v.value for v in group] for group in self._groups())

    def _synchronise(self):
        """The functional state back into the model's variables."""
        if not on_tensorflow():
            for group, values in zip(self._groups(), self._state, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)

    # -- the loop ---------------------------------------------------------------------------

    def _call(self, event, *args):
        for callback in self.callbacks if self.cluster.chief else ():
            if hasattr(callback, event):
                getattr(callback, event)(self, *args)

    def write_row(self, row):
        if self.cluster.chief:
            with open(self._log, "a") as file:
                file.write(json.dumps(row) + "\n")

    def run(self):
        """Trains to the end (or `max_steps`, or SIGTERM); returns the last row of metrics."""
        former = None
        if threading.current_thread() is threading.main_thread():
            former = signal.signal(signal.SIGTERM, self._stop_soon)
        try:
            with locked(self.out) if self.cluster.chief else contextlib.nullcontext():
                return self._run()
        finally:
            if former is not None:
                signal.signal(signal.SIGTERM, former)

    def _stop_soon(self, *_):
        """After the step, on all hosts; the next signal ends the process at once."""
        self._asked_to_stop = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _run(self):
        ended = self.out / "final" / "metrics.json"
        if self.cluster.agreed(self.step >= self.total_steps and ended.exists()):
            return json.loads(ended.read_text())  # of the run as it was, which nothing changes
        self._advise()
        recipe, begun = self.recipe, time.perf_counter() - self.seconds
        if self.cluster.chief:
            self._trim_log()
            self._manifest()
        self._adopt()
        self._call("on_start")
        steps = self._tensorflow_steps() if on_tensorflow() else self._other_steps()
        row = {k: v for logged in self._rows() for k, v in logged.items()}
        if self.cluster.agreed(self._unended()):
            row = self._end_epoch(row)
        bar, waited, mark, marked = self._bar(), 0.0, time.perf_counter(), self.step
        stop = self.total_steps
        if self.max_steps is not None:
            stop = min(stop, self.step + self.max_steps)
        while self.step < stop:
            if self.task.on_epoch_start and self.step % self.steps_per_epoch == 0:
                self._begin_epoch(self.step // self.steps_per_epoch)
            logs, wait = next(steps)
            waited += wait
            self.step += 1
            self.seconds = time.perf_counter() - begun
            if logs.pop("stop"):
                self.stopped, stop = True, self.step
            if not np.isfinite(logs["loss"]):
                self._not_finite(logs)
            self.health.update(logs, recipe.batch_size)
            epoch_ends = self.step % self.steps_per_epoch == 0
            if self.step % LOG_STEPS == 0 or epoch_ends or self.step == stop:
                elapsed = time.perf_counter() - mark
                images = (self.step - marked) * recipe.batch_size
                row = {"step": self.step, "epoch": self.step / self.steps_per_epoch,
                       "images": self.step * recipe.batch_size, "seconds": self.seconds,
                       "learning_rate": self._rate_now(),
                       "images_per_second": images / max(elapsed, 1e-9),
                       "model_images_per_second": images / max(elapsed - waited, 1e-9),
                       "data_wait": waited / max(elapsed, 1e-9),
                       "health": self.health.line(), **self.task.figures(self), **logs}
                self.write_row(row)
                self._call("on_log", row)
                waited, mark, marked = 0.0, time.perf_counter(), self.step
            self._show(bar, logs)
            if (self.step % recipe.checkpoint_steps == 0 or epoch_ends or self.step == stop):
                self._synchronise()
                if epoch_ends:
                    self._reset_metrics()
                self._save()
                mark = time.perf_counter()
            if epoch_ends or self.step == self.total_steps:
                row = self._end_epoch(row)
                mark = time.perf_counter()
        if bar:
            bar.close()
        if self.step >= self.total_steps:
            self._finish(row)
        self._call("on_end")
        self.cluster.agreed(0)  # no host leaves before the chief has finished
        return row

    def _end_epoch(self, row):
        """Tests and calls back; a row of the log, `step` and `test_...`, says that it is done."""
        self._synchronise()
        row = {**row, **self.evaluate()}
        self._call("on_epoch", row)
        self.write_row({"step": self.step, **{k: v for k, v in row.items()
                                              if k.startswith("test_")}})
        return row

    def _rows(self):
        """The log's rows of this step."""
        if not (self.cluster.chief and self._log.exists()):
            return []
        return [r for r in map(json.loads, self._log.read_text().splitlines())
                if r["step"] == self.step]

    def _unended(self):
        """Whether the run was killed between an epoch's checkpoint and its end."""
        whole = self.step % self.steps_per_epoch == 0 or self.step >= self.total_steps
        return bool(self.step and whole and not any("loss" not in r for r in self._rows()))

    def _reset_metrics(self):
        self.model.reset_metrics()
        if not on_tensorflow():
            zeros = [v.value for v in self.model.metrics_variables]
            self._state = (*self._state[:3], zeros)

    def _advise(self):
        """Says so where this machine would take many times as long as it could."""
        if (self.progress and self.cluster.chief and self.step < self.total_steps
                and (found := advice(self.recipe.precision))):
            print(f"{self.recipe.name}: {found}", file=sys.stderr, flush=True)

    def _bar(self):
        if not self.progress or not self.cluster.chief:
            return None
        from tqdm import tqdm

        return tqdm(total=self.total_steps, initial=self.step, desc=self.recipe.name,
                    unit="step", file=sys.stderr, mininterval=5 if sys.stderr.isatty() else 60)

    def _show(self, bar, logs):
        if bar:
            bar.set_postfix_str(" ".join(f"{k} {v:.3f}" for k, v in logs.items())
                                + f" [{self.health.line()}]", refresh=False)
            bar.update()

    def _not_finite(self, logs):
        """Saves the batch that made the loss NaN or Inf, then stops."""
        path = self.out / "not_finite.npz"
        if self.cluster.chief:
            self._write_batch(path, self.step - 1)
        kept = " The last checkpoint is from before it." * (self.out / "checkpoints").exists()
        raise NotFinite(f"the loss is {logs['loss']} at step {self.step}. The batch is in {path}."
                        f"{kept} A lower learning rate, in another folder, is the usual remedy.")

    def _write_batch(self, path, start):
        epoch, index = next(pipelines.index_batches(
            self.source.num_examples * self.layer.visits, self.recipe.batch_size,
            self.recipe.seed, start))
        arrays = {"step": start, "epoch": epoch, "index": index}
        if on_tensorflow():
            inputs, labels = next(iter(pipelines.pipeline(
                self.source, self.layer, self.recipe.batch_size, self.recipe.seed, start)))
            for k, v in enumerate(keras.tree.flatten((inputs, labels))):
                arrays[f"tensor{k}"] = v.numpy()
        checkpoint.write_atomically(path, lambda p: np.savez(open(p, "wb"), **arrays))

    def evaluate(self):
        """Loss and metrics of the task on the test split: `test_<name>`; see `evaluate`."""
        if self.test_source is None or not self.cluster.chief:
            return {}
        found = evaluate(self._alone(), self.test_source, self.recipe.batch_size,
                         self.recipe.test_images)
        return {f"test_{k}": v for k, v in found.items()}

    def _alone(self):
        """The model, or where other hosts share it a copy that the chief can use without them."""
        if self.cluster.count == 1:
            return self.model
        if not hasattr(self, "_copy"):
            with precision(self.recipe.precision):
                self._copy = self.task.attach(self.recipe.build_backbone())
        self._copy.set_weights(self.model.get_weights())
        return self._copy

    def features(self, model, path):
        """What a model answers for each picture of the source, see `features.written`."""
        return features.written(model, self.source, self.task.layer(augment=False), path,
                                self.recipe.batch_size)

    def _manifest(self):
        import keras_pretext
        from keras_pretext.zoo import store

        versions = {"python": platform.python_version(), "keras": keras.__version__,
                    "keras_pretext": keras_pretext.__version__, "numpy": np.__version__,
                    keras.backend.backend(): sys.modules[keras.backend.backend()].__version__}
        fingerprint = self.data.fingerprint()  # once: it may look at every file
        command = pathlib.Path(sys.argv[0]).name
        command = "keras-pretext" if command == "__main__.py" else command  # python -m ...cli
        command = " ".join([command, *sys.argv[1:]])
        path = self.out / "manifest.json"
        former = json.loads(path.read_text()) if path.exists() else {}
        commands = ({"command": former["command"], "resumed_by": command} if former
                    else {"command": command})
        initial = former.get("initial") if self.step else (
            self.recipe.initial and store.full_name(self.recipe.initial))
        checkpoint.write_json(path, {
            "recipe": self.recipe.to_dict(), "recipe_fingerprint": self.recipe.fingerprint(),
            "data": {"name": self.data.name, "split": self.data.split,
                     "num_examples": self.data.num_examples,
                     "fingerprint": fingerprint, "skipped": len(self.data.skipped)},
            "former_data": self._former_data(former, fingerprint),
            "prepared": tables.fingerprint(self.prepared),
            "steps": self.total_steps, "replicas": self.replicas, "versions": versions,
            "backend": keras.backend.backend(), "xla": self.model.xla,
            "parameters": self.model.count_params(), "resumed_at": self.step,
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), **accelerators()},
            "initial": initial, **commands})
        if self.data.skipped:
            self.data.write_skipped(self.out / "skipped.csv")
            print(f"{len(self.data.skipped)} pictures are left out, see {self.out}/skipped.csv",
                  file=sys.stderr)

    def _finish(self, row):
        folder = self.out / "final"
        self._synchronise()
        if not self.cluster.chief:  # saving reads what the replicas keep apart, see `_save`
            with tempfile.TemporaryDirectory() as other:
                self.model.save(pathlib.Path(other) / "model.keras")
            return
        folder.mkdir(exist_ok=True)
        checkpoint.save_model(self.model, folder / "model.keras")
        checkpoint.write_json(folder / "recipe.json", self.recipe.to_dict())
        tables.write(folder, {**self.prepared, **self.tables})
        measured = {}
        if self.test_source is not None:  # on the artefact, and all of the split
            found = evaluate(load_run(self.out), self.test_source, self.recipe.batch_size)
            measured = {f"test_{k}": v for k, v in found.items()}
        checkpoint.write_json(folder / "metrics.json", {
            **row, **measured, "images_seen": self.step * self.recipe.batch_size,
            "wall_seconds": self.seconds, "health": self.health.line()})


def accelerators():
    """`{"accelerators": their names}` of the GPUs or TPUs of this host, empty where it has none."""
    if on_tensorflow():
        import tensorflow as tf

        found = [tf.config.experimental.get_device_details(device).get("device_name", device.name)
                 for device in tf.config.list_physical_devices("GPU")]
    else:
        import jax

        found = [d.device_kind for d in jax.local_devices() if d.platform != "cpu"]
    return {"accelerators": ", ".join(found)} if found else {}


def initial_weights(recipe):
    """The weights, NumPy, of the backbone that a recipe begins with.

    Raises ValueError where there is none of that name, or its weights do not fit.
    """
    from keras_pretext.zoo.entry import pretext_model

    values = pretext_model(recipe.initial).backbone.get_weights()
    if [v.shape for v in values] != [tuple(w.shape) for w in recipe.build_backbone().weights]:
        raise ValueError(f"training begins with the weights of a backbone as the recipe's, "
                         f"{recipe.backbone[0]} with {recipe.backbone[1]}. "
                         f"Received: {recipe.initial!r}, another one")
    return values


def _build_metrics(model, layer):
    """Creates the metrics' variables now, so that checkpoints always hold the same list."""
    size = layer.framing.size
    inputs, labels = layer(keras.KerasTensor((2, size, size, layer.channels), "uint8"),
                           keras.KerasTensor((2, layer.num_draws), "float32"))
    outputs = model.compute_output_spec(inputs)
    labels, outputs = keras.tree.map_structure(
        lambda t: keras.ops.zeros(t.shape, t.dtype), (labels, outputs))
    model.compute_loss(None, labels, outputs)  # of several outputs each loss has a metric
    model.compute_metrics(None, labels, outputs)
    model.reset_metrics()


def train(recipe, out, **options):
    """Runs a recipe (or a recipe file) in a folder; resumes what is there. Returns metrics."""
    if not hasattr(recipe, "fingerprint"):
        recipe = load_recipe(recipe)
    return Trainer(recipe, out, **options).run()
