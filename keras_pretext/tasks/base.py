"""The contract that every pretext task keeps."""

import keras
from keras import ops

from keras_pretext.image import framing as framings
from keras_pretext.image.geometry import mirror, select
from keras_pretext.registry import Registry

registry = Registry("task")


class PretextLayer(keras.layers.Layer):
    """`layer(image, draws) -> (inputs, pseudolabels)`, pure, for one image or a batch.

    The first `framing.num_draws` draws choose the window of the image, the rest the puzzle.
    Subclasses write `puzzle(framed, draws)` for batches.

    Args:
        framing: how an image of any size becomes `framing.size` square.
        num_draws: of the framing and the puzzle together.
    """

    uses_labels = False  # True: the pipeline puts the source's labels for the pseudolabels
    uses_index = False  # True: it puts the examples' indices, int64, for `Task.before_step`
    channels = 3  # of a picture: 4 with its mask, 6 of two pictures, see `data.masks.seen_by`
    in_batches = True  # False: of large pictures, one at a time is quicker
    visits = 1  # how often an epoch shows each example, every time with other draws
    chosen = None  # int64 (n,): the examples to show in the place of 0 to n - 1

    def __init__(self, framing, num_draws, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**{**kwargs, "autocast": False, "trainable": False})
        self.framing, self.num_draws = framings.get(framing), num_draws

    def shown(self, epoch, index):
        """The examples that an epoch shows in the place of others: those `chosen`, if any are."""
        return index if self.chosen is None else ops.take(self.chosen, index, axis=0)

    def puzzle(self, images, draws):
        """Framed uint8 `(B, size, size, 3)` and draws `(B, num_draws - framing.num_draws)`."""
        raise NotImplementedError

    def framed(self, images, draws):
        """The puzzle of pictures that are framed already (by the decoder), with all the draws."""
        single, size = len(images.shape) == 3, self.framing.size
        if any(extent not in (None, size) for extent in images.shape[-3:-1]):
            raise ValueError(f"puzzles are made of pictures of {size}x{size} pixels; layer(image, "
                             "draws) makes them of any others. "
                             f"Received: shape {tuple(images.shape)}")
        if single:
            images, draws = images[None], draws[None]
        inputs, labels = self.puzzle(images, draws[..., self.framing.num_draws:])
        if single:
            return (keras.tree.map_structure(lambda t: t[0], inputs),
                    keras.tree.map_structure(lambda t: t[0], labels))
        return inputs, labels

    def call(self, images, draws):
        """uint8 `(H, W, channels)`, float32 `(num_draws,)` in [0, 1), or a batch of both."""
        if len(images.shape) not in (3, 4) or images.shape[-1] != self.channels:
            raise ValueError(f"an image is uint8 (height, width, {self.channels}) or a batch of "
                             "such. "
                             f"Received: shape {tuple(images.shape)}")
        if draws.shape[-1] is not None and draws.shape[-1] < self.num_draws:
            raise ValueError(f"{self.name} needs {self.num_draws} draws an image. "
                             f"Received: {draws.shape[-1]}")
        return self.framed(self.framing(images, draws[..., :self.framing.num_draws]), draws)


class FlipLayer(PretextLayer):
    """A PretextLayer that may mirror half of its pictures first, by the framing's next draw.

    Subclasses write `puzzle`, and begin it with `mirrored`.

    Args:
        flip: mirror half of the pictures.
        puzzle_draws: that the puzzle takes besides, after the one for the mirror.
    """

    def __init__(self, flip, framing, puzzle_draws=0, **kwargs):
        framing = framings.get(framing)
        super().__init__(framing, framing.num_draws + 1 + puzzle_draws, **kwargs)
        self.flip = flip

    def mirrored(self, images, draws):
        """Framed pictures, and the draws of `puzzle`."""
        return select(draws[:, 0] < 0.5, mirror(images), images) if self.flip else images

    def get_config(self):
        return {**super().get_config(), "flip": self.flip,
                "framing": framings.serialize(self.framing)}


@keras.saving.register_keras_serializable(package="keras_pretext")
class PretextModel(keras.Model):
    """A backbone with a task's head: from the layer's inputs to what the loss compares.

    On TensorFlow `train_step` may run forward, loss and gradient in one XLA computation
    (`xla=True`), built once, with the optimizer outside it: that works under MirroredStrategy,
    where Keras' own `jit_compile` does not.
    """

    xla = False
    rate_shares = (1.0,)  # of the recipe's learning rate: one for each optimizer

    def __init__(self, inputs, outputs, task, backbone, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.task, self.backbone = task, backbone

    def get_config(self):
        return {"task": keras.saving.serialize_keras_object(self.task),
                "backbone": keras.saving.serialize_keras_object(self.backbone),
                "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        task = keras.saving.deserialize_keras_object(config["task"])
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return task.attach(backbone, name=config["name"])

    @property
    def optimizers(self):
        """All of them; their variables are in every checkpoint."""
        return [self.optimizer]

    def build_optimizers(self):
        """Makes their variables, after `compile`."""
        self.optimizer.build(self.trainable_variables)

    def train_step(self, *args):
        if keras.backend.backend() != "tensorflow":
            return super().train_step(*args)
        import tensorflow as tf

        inputs, labels = args[0]
        if not hasattr(self, "_differentiated"):
            self._differentiated = tf.function(self._differentiate, jit_compile=self.xla)
        loss, predictions, gradients = self._differentiated(inputs, labels)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(gather_first(labels))[0])
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.compute_metrics(inputs, labels, predictions)

    def _differentiate(self, inputs, labels):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            predictions = self(inputs, training=True)
            loss = self.compute_loss(x=inputs, y=labels, y_pred=predictions, training=True)
        # Keras has divided the loss by the number of replicas: gradients are summed over them.
        gradients = tape.gradient(loss, self.trainable_variables)
        return (loss * tf.distribute.get_strategy().num_replicas_in_sync, predictions, gradients)


def gather_first(structure):
    """The first tensor of a nest."""
    return keras.tree.flatten(structure)[0]


class Task:
    """Base of the pretext tasks. A task is its config; everything else follows from it.

    Attributes:
        num_draws: random numbers an example needs.
        image_size: side of the framed picture, in pixels.
        chance: loss and accuracy of knowing nothing.
        on_epoch_start: None, or a method `(trainer, epoch)` called before the first step of every
            epoch; it may change `trainer.tables`.
        before_step: None, or a method `(trainer, labels, outputs)` called before every step.
            `labels` are those of the batch as one NumPy array, the examples' indices where the
            layer `uses_index`; `outputs()` gives what the model will answer in this step, NumPy.
            It returns the labels of the step, NumPy, and may change `trainer.tables`.
        before_stream: None, or a method `(trainer, epoch)` called before the pictures of an epoch
            (or of the rest of it, after a resume) are read: for `trainer.layer.chosen`.
        without_momentum: names of layers that SGD trains without momentum.
        patch_side: of the patches that the backbone sees one by one, in pixels; None where it
            sees whole pictures.
    """

    name = patch_side = None
    on_epoch_start = before_step = before_stream = None
    without_momentum = ()

    def prepare(self, source, seed):
        """Dict of NumPy arrays that is learnt from the data once, before training.

        It is `trainer.prepared`; it lies in the run's `prepared.npz`, from which a resumed run
        takes it, and its fingerprint in the manifest.

        Args:
            source: the `Source` that is trained on.
            seed: the recipe's.
        """
        return {}

    def adopt(self, prepared):
        """Takes from the prepared arrays what belongs to the config, before the model is built."""

    def examples(self, source, prepared):
        """None, or uint8 pictures `(n, H, W, 3)` and int64 labels `(n,)`.

        They are trained on in place of the source's; and tested on, with the draws that
        `layer(augment=False)` makes of the numbers it is given.
        """
        return None

    def tables(self, source, seed):
        """Dict of NumPy arrays that training goes on to change: `trainer.tables`.

        They are part of every checkpoint, come back on resume, and lie in `final/tables.npz`.

        Args:
            source: the `Source` that is trained on.
            seed: the recipe's.
        """
        return {}

    def held_out(self, outputs, labels):
        """The labels of held-out pictures, once the model has answered; as they are by default."""
        return labels

    def figures(self, trainer):
        """Dict of floats: what a logged row holds besides the loss and the metrics."""
        return {}

    def diagnose(self, trainer):
        """What the health line says in the place of its own words, or None.

        For failures that the loss does not show. `trainer.health.means` holds the smoothed logs,
        `trainer.health.images` how many the run has seen.
        """
        return None

    def layer(self, augment=True):
        """The PretextLayer; with `augment=False` pictures are framed centrally, as for testing."""
        raise NotImplementedError

    def attach(self, backbone, **kwargs):
        """A PretextModel, compiled with this task's loss and metrics."""
        raise NotImplementedError

    def objective(self):
        """`loss` and `metrics` as `keras.Model.compile` takes them."""
        raise NotImplementedError

    def preview(self, images, draws):
        """Pictures of the puzzle: a list, an image each, of lists of (title, uint8 HWC array)."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((self.name, str(self.get_config())))
