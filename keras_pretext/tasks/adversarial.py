"""Training against a discriminator: two networks, two optimizers, one step."""

import keras
from keras import ops

from keras_pretext.losses.adversarial import (
    discriminator_accuracy,
    discriminator_loss,
    generator_loss,
)
from keras_pretext.tasks.base import PretextModel, gather_first


@keras.saving.register_keras_serializable(package="keras_pretext")
class AdversarialModel(PretextModel):
    """A PretextModel whose answers are also to pass for real.

    It minimises `weights[0] * loss + weights[1] * generator_loss`, the discriminator its own loss.
    Both gradients are taken at the same point, from one forward pass, and then both optimizers
    move. `task.judged(labels, pixels)` is what the discriminator sees of the truth, and of the
    answers.

    Logs, beside the task's: `loss` is the compiled loss alone, `generator_loss` is -log D(G),
    `discriminator_loss` 2 log 2 and `discriminator_accuracy` 1/2 where D cannot tell.

    Args:
        discriminator: a Keras model from what `task.judged` gives to logits `(batch, 1)`.
        weights: of the compiled loss and of the adversarial one.
        rate_share: the discriminator's learning rate as a share of the recipe's.
    """

    def __init__(self, inputs, outputs, task, backbone, discriminator, weights, rate_share,
                 **kwargs):
        super().__init__(inputs, outputs, task, backbone, **kwargs)
        self.discriminator, self.weights_of_losses = discriminator, tuple(weights)
        self.rate_shares = (1.0, rate_share)
        self.game = [keras.metrics.Mean(name=name) for name in (
            "generator_loss", "discriminator_loss", "discriminator_accuracy")]

    @property
    def generator_variables(self):
        """The trainable variables that are not the discriminator's."""
        other = {id(v) for v in self.discriminator.trainable_variables}
        return [v for v in self.trainable_variables if id(v) not in other]

    @property
    def optimizers(self):
        return [self.optimizer, self.discriminator_optimizer]

    def build_optimizers(self, discriminator_optimizer):
        self.discriminator_optimizer = discriminator_optimizer
        self.optimizer.build(self.generator_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def compile_from_config(self, config):
        """Of a saved model: its optimizer holds the generator's variables only."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.generator_variables)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The task's alone: of held-out pictures there is no game."""
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return {k: v for k, v in logs.items() if k not in {m.name for m in self.game}}

    def _play(self, inputs, labels):
        """What the generator and the discriminator minimise; answers, loss, values of the game."""
        outputs = self(inputs, training=True)
        loss = self.compute_loss(x=inputs, y=labels, y_pred=outputs, training=True)
        real, fake = (self.discriminator(self.task.judged(labels, pixels), training=True)
                      for pixels in (self.task.truth(labels), outputs))
        game = (generator_loss(fake), discriminator_loss(real, fake),
                discriminator_accuracy(real, fake))
        share = 1.0 / _replicas()  # Keras has divided its own loss by their number
        mine, other = self.weights_of_losses
        return (mine * loss + other * share * game[0], share * game[1],
                (outputs, loss / share, game))

    def _logs(self, inputs, labels, outputs, loss, game):
        """Updates the metrics and gives them all."""
        count = ops.shape(gather_first(labels))[0]
        self._loss_tracker.update_state(loss, sample_weight=count)
        for metric, value in zip(self.game, game, strict=True):
            metric.update_state(value, sample_weight=count)
        logs = self.compute_metrics(inputs, labels, outputs)
        return {**logs, **{metric.name: metric.result() for metric in self.game}}

    def train_step(self, *args):
        if keras.backend.backend() == "tensorflow":
            return self._tensorflow_step(*args[0])
        return self._jax_step(*args)

    def _tensorflow_step(self, inputs, labels):
        import tensorflow as tf

        def differentiate(inputs, labels):
            with tf.GradientTape(persistent=True) as tape:
                generator, discriminator, rest = self._play(inputs, labels)
            return (tape.gradient(generator, self.generator_variables),
                    tape.gradient(discriminator, self.discriminator.trainable_variables), rest)

        if not hasattr(self, "_differentiated"):
            self._differentiated = tf.function(differentiate, jit_compile=self.xla)
        mine, others, (outputs, loss, game) = self._differentiated(inputs, labels)
        self.optimizer.apply_gradients(zip(mine, self.generator_variables, strict=True))
        self.discriminator_optimizer.apply_gradients(
            zip(others, self.discriminator.trainable_variables, strict=True))
        return self._logs(inputs, labels, outputs, loss, game)

    def _jax_step(self, state, data):
        import jax

        trainable, non_trainable, moments, metrics = state
        inputs, labels = data
        trained, others = self.trainable_variables, self.non_trainable_variables

        def play(values):
            mapping = [*zip(trained, values, strict=True),
                       *zip(others, non_trainable, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                generator, discriminator, rest = self._play(inputs, labels)
            return (generator, discriminator), (rest, [scope.get_current_value(v) for v in others])

        _, backward, (rest, non_trainable) = jax.vjp(play, trainable, has_aux=True)
        values = {id(v): value for v, value in zip(trained, trainable, strict=True)}
        moments, done = list(moments), []
        for optimizer, variables, ends in (
                (self.optimizer, self.generator_variables, (1.0, 0.0)),
                (self.discriminator_optimizer, self.discriminator.trainable_variables,
                 (0.0, 1.0))):
            gradients, = backward(tuple(ops.convert_to_tensor(e, "float32") for e in ends))
            gradient = {id(v): g for v, g in zip(trained, gradients, strict=True)}
            count = len(optimizer.variables)
            new, moved = optimizer.stateless_apply(
                moments[:count], [gradient[id(v)] for v in variables],
                [values[id(v)] for v in variables])
            moments, done = moments[count:], done + list(moved)
            values.update(zip(map(id, variables), new, strict=True))
        with keras.StatelessScope(
                state_mapping=zip(self.metrics_variables, metrics, strict=True)) as scope:
            logs = self._logs(inputs, labels, *rest)
        metrics = [scope.get_current_value(v) for v in self.metrics_variables]
        return logs, ([values[id(v)] for v in trained], non_trainable, done, metrics)


def _replicas():
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
