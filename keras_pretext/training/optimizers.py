"""Optimizers as the papers' frameworks (Caffe, Torch) mean them."""

import keras
from keras import ops

from keras_pretext.registry import unknown_name

KINDS = ("sgd", "adam", "rmsprop")


class _Coupled:
    """Weight decay that is coupled: `decay * w` joins the gradient before everything else.

    Keras' own `weight_decay` is decoupled. As in Torch's recipes it acts on every variable,
    biases and batch normalisation included, where `share_decay` does not say otherwise.
    """

    def share_decay(self, variables, share):
        """Multiplies the weight decay of these Keras variables by `share`."""
        self._shares = {**getattr(self, "_shares", {}), **{id(v): share for v in variables}}

    def decay_of(self, variable):
        """The decay of a variable as `update_step` is given it."""
        own = self._trainable_variables[self._get_variable_index(variable)]
        return self.coupled_decay * getattr(self, "_shares", {}).get(id(own), 1.0)

    def update_step(self, gradient, variable, learning_rate):
        decay = self.decay_of(variable)
        if decay:
            gradient = ops.cast(gradient, variable.dtype)
            gradient = gradient + ops.cast(decay, variable.dtype) * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "coupled_decay": self.coupled_decay}


@keras.saving.register_keras_serializable(package="keras_pretext")
class CoupledSGD(_Coupled, keras.optimizers.SGD):
    """SGD whose weight decay is coupled.

    Args:
        plain: names of layers that are trained without momentum.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, nesterov=False, coupled_decay=0.0,
                 plain=(), name="coupled_sgd", **kwargs):
        super().__init__(learning_rate=learning_rate, momentum=momentum, nesterov=nesterov,
                         name=name, **kwargs)
        self.coupled_decay, self.plain = coupled_decay, tuple(plain)

    def update_step(self, gradient, variable, learning_rate):
        own = self._trainable_variables[self._get_variable_index(variable)]
        momentum = self.momentum
        if own.path.split("/")[0] in self.plain:
            self.momentum = 0.0
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self.momentum = momentum

    def get_config(self):
        return {**super().get_config(), "plain": self.plain}


@keras.saving.register_keras_serializable(package="keras_pretext")
class CoupledAdam(_Coupled, keras.optimizers.Adam):
    """Adam whose weight decay is coupled, with Torch's epsilon."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
                 coupled_decay=0.0, name="coupled_adam", **kwargs):
        super().__init__(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2,
                         epsilon=epsilon, name=name, **kwargs)
        self.coupled_decay = coupled_decay


@keras.saving.register_keras_serializable(package="keras_pretext")
class CoupledRMSprop(_Coupled, keras.optimizers.RMSprop):
    """RMSProp whose weight decay is coupled."""

    def __init__(self, learning_rate=0.001, rho=0.9, epsilon=1e-7, coupled_decay=0.0,
                 name="coupled_rmsprop", **kwargs):
        super().__init__(learning_rate=learning_rate, rho=rho, epsilon=epsilon, name=name,
                         **kwargs)
        self.coupled_decay = coupled_decay


def build(kind, learning_rate, momentum=0.9, nesterov=False, weight_decay=0.0, plain=()):
    """The optimizer of a recipe.

    Args:
        kind: "sgd", "adam", of which `momentum` is the first beta, or "rmsprop".
        learning_rate: a number or a Keras schedule.
        plain: names of layers that SGD trains without momentum.
    """
    if kind == "sgd":
        return CoupledSGD(learning_rate, momentum, nesterov, weight_decay, plain)
    if kind == "adam":
        return CoupledAdam(learning_rate, momentum, coupled_decay=weight_decay)
    if kind == "rmsprop":
        return CoupledRMSprop(learning_rate, coupled_decay=weight_decay)
    raise ValueError(unknown_name("optimizer", kind, KINDS))
