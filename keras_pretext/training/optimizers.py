"""Optimizers as the papers' frameworks (Caffe, Torch) mean them."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is coupled: `decay * w` joins the gradient before the momentum.

    Keras' own `weight_decay` is decoupled. As in Torch's recipes it acts on every variable,
    biases and batch normalisation included.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, nesterov=False, coupled_decay=0.0,
                 name="coupled_sgd", **kwargs):
        super().__init__(learning_rate=learning_rate, momentum=momentum, nesterov=nesterov,
                         name=name, **kwargs)
        self.coupled_decay = coupled_decay

    def update_step(self, gradient, variable, learning_rate):
        if self.coupled_decay:
            gradient = ops.cast(gradient, variable.dtype)
            gradient = gradient + ops.cast(self.coupled_decay, variable.dtype) * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "coupled_decay": self.coupled_decay}
