"""Several pretext tasks on one trunk (Doersch and Zisserman, "Multi-task Self-Supervised Visual
Learning", ICCV 2017)."""

import functools
import re

import keras
import numpy as np
from keras import ops

from keras_pretext.image import framing as framings
from keras_pretext.layers.lasso_mixing import LassoMixing
from keras_pretext.registry import unknown_name
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, gather_first, registry

UPDATES = ("sum", "alternate")


@keras.saving.register_keras_serializable(package="keras_pretext")
class EnsembleLayer(PretextLayer):
    """The puzzles of several layers, each of its own window of one framed picture.

    Gives two dicts, of inputs and of pseudolabels, with the layers' names. The draws of the
    ensemble's framing come first, then those of each layer.

    Args:
        layers: dict of PretextLayers.
        framing: of the picture that all of them see.
    """

    def __init__(self, layers, framing, **kwargs):
        framing = framings.get(framing)
        layers = {name: layer if isinstance(layer, PretextLayer)
                  else keras.saving.deserialize_keras_object(layer)
                  for name, layer in layers.items()}
        super().__init__(framing, framing.num_draws + sum(layer.num_draws
                                                          for layer in layers.values()), **kwargs)
        self.layers = layers
        self.in_batches = all(layer.in_batches for layer in layers.values())
        self.channels = max(layer.channels for layer in layers.values())

    def puzzle(self, images, draws):
        inputs, labels, first = {}, {}, 0
        for name, layer in self.layers.items():
            numbers = draws[:, first:first + layer.num_draws]
            inputs[name], labels[name] = layer(images[..., :layer.channels], numbers)
            first += layer.num_draws
        return inputs, labels

    def get_config(self):
        return {**super().get_config(), "framing": framings.serialize(self.framing),
                "layers": {name: keras.saving.serialize_keras_object(layer)
                           for name, layer in self.layers.items()}}


@keras.saving.register_keras_serializable(package="keras_pretext")
class EnsembleModel(PretextModel):
    """A PretextModel whose tasks each have a head, a loss and an optimizer state of their own.

    In a step every task sees its puzzle of every picture of the batch. A task's optimizer moves
    the trunk and that task's head by that task's gradient alone, so that what an optimizer like
    RMSProp divides by is the task's own. With `updates="sum"` all gradients are taken at the same
    point and then all updates are made; with "alternate" each task begins where the one before
    has left the trunk. Heads have the recipe's weight decay; of the trunk each optimizer has its
    part, and together they have it.

    Logs, beside `<name>_loss` and the tasks' metrics: `<name>_gradient_share`, the norm of the
    task's gradient of the trunk's variables over the sum of all tasks' norms. (Under a strategy the
    mean of the replicas' shares.) With the lasso also `<name>_units`, see `LassoMixing`.

    Args:
        heads: dict of Keras models, each from a task's inputs through the trunk to its answer.
        updates: "sum" or "alternate".
    """

    def __init__(self, inputs, outputs, task, backbone, heads, updates, **kwargs):
        super().__init__(inputs, outputs, task, backbone, **kwargs)
        self.heads, self.updates = heads, updates
        self.task_losses = {name: one.objective()["loss"] for name, one in task.tasks.items()}
        self.gradient_shares = {name: keras.metrics.Mean(name=f"{name}_gradient_share")
                                for name in heads}
        self.rate_shares = (1.0,) * len(heads)

    @property
    def optimizers(self):
        return [self.optimizer, *self.other_optimizers]

    def build_optimizers(self, *others):
        others = others or [type(self.optimizer).from_config(self.optimizer.get_config())
                            for _ in range(len(self.heads) - 1)]
        self.other_optimizers = list(others)
        for optimizer, head in zip(self.optimizers, self.heads.values(), strict=True):
            if hasattr(optimizer, "share_decay"):
                optimizer.share_decay(self.backbone.trainable_variables, 1 / len(self.heads))
            optimizer.build(head.trainable_variables)

    def compile_from_config(self, config):
        """Of a saved model: its optimizer holds the first task's variables only."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(next(iter(self.heads.values())).trainable_variables)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The tasks' alone: of held-out pictures there are no gradients."""
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return {k: v for k, v in logs.items() if not k.endswith("_gradient_share")}

    def task_loss(self, name, labels, outputs, replicas=1):
        """A task's loss and the penalties of its head, and its part of the trunk's: a scalar.

        It is a replica's part of the sum over all of them; Keras has divided its own loss already.
        """
        def total(penalties):
            return sum((ops.cast(p, "float32") for p in penalties), ops.zeros(()))

        common = (1.0 - 1.0 / len(self.heads)) * total(self.backbone.losses)
        return (ops.cast(self.task_losses[name](labels, outputs), "float32")
                + (total(self.heads[name].losses) - common) / replicas)

    def _trunk_norm(self, name, gradients):
        trunk = {id(v) for v in self.backbone.trainable_variables}
        squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for v, g in zip(
            self.heads[name].trainable_variables, gradients, strict=True) if id(v) in trunk]
        return ops.sqrt(sum(squares, ops.zeros(())))

    def _logs(self, inputs, labels, outputs, norms, replicas=1):
        """Updates the metrics and gives them all. `norms` is `{name: scalar}`."""
        count = ops.shape(gather_first(labels))[0]
        loss = self.compute_loss(x=inputs, y=labels, y_pred=outputs, training=True)
        self._loss_tracker.update_state(loss * replicas, sample_weight=count)
        total = ops.maximum(sum(norms.values()), 1e-30)
        for name, metric in self.gradient_shares.items():
            metric.update_state(norms[name] / total, sample_weight=count)
        logs = self.compute_metrics(inputs, labels, outputs)
        if self.task.lasso is not None:
            logs.update({f"{n}_units": mixing(head).units_in_use() for n, head in
                         self.heads.items()})
        return {**logs, **{m.name: m.result() for m in self.gradient_shares.values()}}

    def train_step(self, *args):
        if keras.backend.backend() == "tensorflow":
            return self._tensorflow_step(*args[0])
        return self._jax_step(*args)

    def _tensorflow_step(self, inputs, labels):
        import tensorflow as tf

        replicas = tf.distribute.get_strategy().num_replicas_in_sync

        def differentiate(name, inputs, labels):
            head = self.heads[name]
            with tf.GradientTape() as tape:
                outputs = head(inputs, training=True)
                loss = self.task_loss(name, labels, outputs, replicas)
            gradients = tape.gradient(loss, head.trainable_variables)
            return gradients, outputs, self._trunk_norm(name, gradients)

        if not hasattr(self, "_differentiated"):
            self._differentiated = {
                name: tf.function(functools.partial(differentiate, name), jit_compile=self.xla)
                for name in self.heads}
        outputs, norms, updates = {}, {}, []
        for (name, head), optimizer in zip(self.heads.items(), self.optimizers, strict=True):
            gradients, outputs[name], norms[name] = self._differentiated[name](inputs[name],
                                                                               labels[name])
            updates.append((optimizer, [*zip(gradients, head.trainable_variables, strict=True)]))
            if self.updates == "alternate":
                optimizer.apply_gradients(updates.pop()[1])
        for optimizer, pairs in updates:
            optimizer.apply_gradients(pairs)
        return self._logs(inputs, labels, outputs, norms, replicas)

    def _jax_step(self, state, data):
        import jax

        trainable, non_trainable, moments, metrics = state
        inputs, labels = data
        trained, others = self.trainable_variables, self.non_trainable_variables
        start = {id(v): value for v, value in zip(trained, trainable, strict=True)}
        values, moments = dict(start), list(moments)
        outputs, norms, done = {}, {}, []
        for (name, head), optimizer in zip(self.heads.items(), self.optimizers, strict=True):
            at, own = values if self.updates == "alternate" else start, head.trainable_variables

            def cost(chosen, name=name, head=head, at=at, own=own, non_trainable=non_trainable):
                here = {**at, **dict(zip(map(id, own), chosen, strict=True))}
                mapping = [*((v, here[id(v)]) for v in trained),
                           *zip(others, non_trainable, strict=True)]
                with keras.StatelessScope(state_mapping=mapping) as scope:
                    answer = head(inputs[name], training=True)
                    loss = self.task_loss(name, labels[name], answer)
                return loss, (answer, [scope.get_current_value(v) for v in others])

            gradients, (outputs[name], non_trainable) = jax.grad(cost, has_aux=True)(
                [at[id(v)] for v in own])
            norms[name] = self._trunk_norm(name, gradients)
            count = len(optimizer.variables)
            new, moved = optimizer.stateless_apply(moments[:count], gradients,
                                                   [values[id(v)] for v in own])
            moments, done = moments[count:], done + list(moved)
            values.update(zip(map(id, own), new, strict=True))
        mapping = [*zip(self.metrics_variables, metrics, strict=True),
                   *((v, values[id(v)]) for v in trained)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = self._logs(inputs, labels, outputs, norms)
        metrics = [scope.get_current_value(v) for v in self.metrics_variables]
        return logs, ([values[id(v)] for v in trained], non_trainable, done, metrics)


class LassoTrunk:
    """A backbone whose last tap is a `LassoMixing` of its last block's units, anew for each use.

    What a task's `attach` asks of a backbone; everything else is the backbone's own.
    """

    def __init__(self, backbone, penalty, name):
        if not getattr(backbone, "units", None):
            raise ValueError("the lasso mixes the units of a residual trunk, such as resnet. "
                             f"Received: {backbone.name}")
        self._backbone, self._penalty, self._name = backbone, penalty, name

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def extractor(self, tap):
        if tap != [*self._backbone.taps][-1]:
            raise ValueError("with the lasso every task reads the last tap, "
                             f"{[*self._backbone.taps][-1]}. Received: {tap!r}")
        units = [self._backbone.get_layer(unit).output for unit in self._backbone.units]
        mixed = LassoMixing(self._penalty, name=f"{self._name}_lasso")(units)
        return keras.Model(self._backbone.input, mixed)


@registry.register("ensemble")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Ensemble(Task):
    """Any set of tasks on one trunk, each with its own head, loss and optimizer state.

    Every picture of a batch is framed once and then becomes a puzzle of each task. The model has a
    dict of inputs and one of outputs, with the tasks' names. See `EnsembleModel` for the step.

    Args:
        tasks: dict from a name of one's choice to a task's name or `(name, options)`.
        only: names of the tasks that are trained; all by default.
        lasso: None: every head reads the tap that its task names. A number: every head reads a
            mixture of the units of the trunk's last block, with this penalty on its weights (see
            `LassoMixing`); the trunk is a residual one.
        harmonise: give relative_patch the greys that colorization sees, instead of what its own
            `color` says, so that the trunk gets one kind of picture from both.
        updates: "sum" or "alternate", see `EnsembleModel`.
        image_size: side of the framed picture in pixels, of which the tasks take their own
            windows; by default that of the task which needs the largest.
        framing: gives `image_size`; by default a random square of a picture whose short side is
            that long.

    Raises:
        ValueError: for options that make no sense, and for tasks that need labels, an answer from
            the trainer or a game of two networks.
    """

    name = "ensemble"

    def __init__(self, tasks, only=None, lasso=None, harmonise=False, updates="sum",
                 image_size=None, framing=None):
        if not isinstance(tasks, dict) or not tasks:
            raise ValueError("tasks is a dict from names to a task's name or (name, options), such "
                             f"as {{'rp': 'relative_patch'}}. Received: {tasks!r}")
        for name in tasks:
            if not re.fullmatch("[a-z][a-z0-9_]*", str(name)):
                raise ValueError("names in an ensemble are small letters, digits and _. "
                                 f"Received: {name!r}")
        only = list(tasks) if only is None else [only] if isinstance(only, str) else list(only)
        for name in only:
            if name not in tasks:
                raise ValueError(unknown_name("task of the ensemble", name, tasks))
        if not only:
            raise ValueError(f"only names at least one task. Received: {only!r}")
        if updates not in UPDATES:
            raise ValueError(unknown_name("kind of updates", updates, UPDATES))
        LassoMixing(lasso or 0.0)  # refuses a penalty that makes no sense
        self.tasks = {}
        for name, value in tasks.items():
            kind, options = (value, {}) if isinstance(value, str) else value
            if harmonise and kind == "relative_patch":
                options = {**options, "color": "lightness"}
            if name in only:
                self.tasks[name] = _checked(registry.get(kind)(**options))
        largest = max(one.framing.size for one in self.tasks.values())
        image_size = largest if image_size is None else image_size
        framing = framings.ResizeCrop(image_size) if framing is None else framing
        self.framing = framings.of_size(framing, image_size)
        self.lasso, self.harmonise = lasso, bool(harmonise)
        self.updates, self.image_size = updates, image_size
        self.num_draws = self.framing.num_draws + sum(t.num_draws for t in self.tasks.values())

    @property
    def chance(self):
        """`loss` is the sum of the tasks', beside `<name>_loss`, `<name>_accuracy` ... of each."""
        each = {f"{name}_{key}": value for name, one in self.tasks.items()
                for key, value in one.chance.items()}
        return {"loss": sum(one.chance["loss"] for one in self.tasks.values()), **each}

    def prepare(self, source, seed):
        """What each task prepares, as `<name>.<array>`."""
        return {f"{name}.{key}": value for name, one in self.tasks.items()
                for key, value in one.prepare(source, seed).items()}

    def adopt(self, prepared):
        for name, one in self.tasks.items():
            one.adopt({key.partition(".")[2]: value for key, value in prepared.items()
                       if key.partition(".")[0] == name})

    def layer(self, augment=True):
        return EnsembleLayer({name: one.layer(augment) for name, one in self.tasks.items()},
                             self.framing if augment else self.framing.evaluation())

    def objective(self):
        """`loss` and `metrics`: dicts of the tasks'."""
        parts = {name: one.objective() for name, one in self.tasks.items()}
        return {key: {name: part[key] for name, part in parts.items()}
                for key in ("loss", "metrics")}

    def attach(self, backbone, name="ensemble_model", **kwargs):
        heads = {}
        for key, one in self.tasks.items():
            trunk = backbone if self.lasso is None else LassoTrunk(backbone, self.lasso, key)
            own = one.attach(trunk)
            if type(own) is not PretextModel or isinstance(own.input, dict) or isinstance(
                    own.output, dict):
                raise ValueError("an ensemble is of tasks with one network and one answer. "
                                 f"Received: {key!r}, {one.name}")
            heads[key] = keras.Model(own.input, own.output, name=f"{key}_head")
        inputs = {key: keras.Input(batch_shape=head.input.shape, dtype=head.input.dtype,
                                   name=key) for key, head in heads.items()}
        outputs = {key: head(inputs[key]) for key, head in heads.items()}
        model = EnsembleModel(inputs, outputs, self, backbone, heads, self.updates, name=name,
                              **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        """The rows of all tasks, of one picture after the other."""
        rows, framing = [], self.framing
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            own = ops.convert_to_tensor(draw[:framing.num_draws])
            framed = ops.convert_to_numpy(framing(ops.convert_to_tensor(image), own))
            first = framing.num_draws
            for name, one in self.tasks.items():
                numbers = draw[None, first:first + one.num_draws]
                first += one.num_draws
                (title, shown), *rest = one.preview([framed[..., :one.layer().channels]],
                                                    numbers)[0]
                rows.append([(f"{name}: {title}", shown), *rest])
        return rows

    def get_config(self):
        return {"tasks": {name: [one.name, one.get_config()] for name, one in self.tasks.items()},
                "lasso": self.lasso, "harmonise": self.harmonise, "updates": self.updates,
                "image_size": self.image_size, "framing": framings.serialize(self.framing)}


def mixing(head):
    """The LassoMixing of a head of an ensemble with the lasso."""
    found, = (layer for layer in head._flatten_layers() if isinstance(layer, LassoMixing))
    return found


def _checked(task):
    """A task whose pseudolabels its layer makes. Raises ValueError for others."""
    layer, kind = task.layer(), type(task)
    hooks = [hook for hook in ("examples", "tables", "on_epoch_start", "before_step",
                               "before_stream") if getattr(kind, hook) is not getattr(Task, hook)]
    if layer.uses_labels or layer.uses_index or hooks or layer.visits > 1:
        raise ValueError("an ensemble is of tasks whose layer makes their pseudolabels, such as "
                         "relative_patch, colorization, exemplar_triplet and "
                         f"motion_segmentation. Received: {task.name}")
    return task
