"""What the protocols train with: SGD as Torch's and Caffe's recipes mean it."""

import keras

from keras_pretext.training import schedules
from keras_pretext.training.optimizers import CoupledSGD


@keras.saving.register_keras_serializable(package="keras_pretext")
class HeadSGD(CoupledSGD):
    """`CoupledSGD` whose update is one pass over memory on TensorFlow; the same numbers.

    `slow_down` gives some variables a smaller learning rate.
    """

    def slow_down(self, variables, factor):
        """Multiplies the learning rate of these Keras variables by `factor`."""
        self._factors = {**getattr(self, "_factors", {}), **{id(v): factor for v in variables}}

    def update_step(self, gradient, variable, learning_rate):
        # On TensorFlow `variable` is the tf.Variable inside the Keras variable.
        index = self._get_variable_index(variable)
        factor = getattr(self, "_factors", {}).get(id(self._trainable_variables[index]), 1.0)
        learning_rate = learning_rate * factor
        if keras.backend.backend() != "tensorflow" or not self.momentum:
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        gradient = tf.cast(gradient, variable.dtype) + self.decay_of(variable) * variable
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle, accum=self.momentums[index].value.handle,
            lr=tf.cast(learning_rate, variable.dtype), grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype), use_nesterov=self.nesterov)


def stepped(learning_rate, drops, factor, steps):
    """A rate that is multiplied by `factor` after each of these fractions of `steps`."""
    if not drops:
        return learning_rate
    ends = [max(drop, 1 / steps) for drop in drops]
    return schedules.build({"kind": "steps", "epochs": ends, "factor": factor}, learning_rate,
                           steps, 1)


def optimizer_for(steps, learning_rate, drops, factor, decay=5e-4, nesterov=True):
    """SGD with momentum 0.9 and coupled decay, the rate cut after fractions of `steps`."""
    return HeadSGD(stepped(learning_rate, drops, factor, steps), 0.9, nesterov=nesterov,
                   coupled_decay=decay)


def caffe_optimizer(variables, steps, learning_rate, momentum, drops, decay):
    """SGD as Caffe's networks have it, whose rate is a tenth after each of `drops`.

    Biases learn twice as fast and do not decay (`lr_mult: 2`, `decay_mult: 0`).
    """
    optimizer = HeadSGD(stepped(learning_rate, drops, 0.1, steps), momentum, coupled_decay=decay)
    optimizer.build(variables)
    biases = [v for v in variables if v.path.endswith("/bias")]
    optimizer.slow_down(biases, 2.0)
    optimizer.share_decay(biases, 0.0)
    return optimizer
