"""A fully connected layer that also takes larger maps."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class FullyConnectedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, computed as one matrix product where the kernel is the whole map.

    Arguments, weights and results are Keras' own; larger maps, and maps whose size is not known
    when the graph is built, are convolved. On a CPU TensorFlow's gradients of such a convolution
    take several times as long as the product's, often more than ten.
    """

    def convolution_op(self, inputs, kernel):
        whole = tuple(inputs.shape[1:3]) == self.kernel_size
        if not whole or (self.padding, self.groups, self.dilation_rate, self.data_format) != (
                "valid", 1, (1, 1), "channels_last"):
            return super().convolution_op(inputs, kernel)
        rows = math.prod(kernel.shape[:3])
        outputs = ops.matmul(ops.reshape(inputs, (-1, rows)),
                             ops.reshape(kernel, (rows, self.filters)))
        return ops.reshape(outputs, (-1, 1, 1, self.filters))
