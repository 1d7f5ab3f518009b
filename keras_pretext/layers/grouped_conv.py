"""Grouped convolution whose gradients are fast on a CPU."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, computed as a convolution for each group.

    Arguments, weights and results are Keras' own. TensorFlow's gradient of a grouped convolution
    is several times slower on a CPU than those of its parts.
    """

    def convolution_op(self, inputs, kernel):
        axis = -1 if self.data_format == "channels_last" else 1
        parts = zip(ops.split(inputs, self.groups, axis=axis),
                    ops.split(kernel, self.groups, axis=-1), strict=True)
        return ops.concatenate([ops.conv(x, part, strides=list(self.strides),
                                         padding=self.padding, data_format=self.data_format,
                                         dilation_rate=self.dilation_rate)
                                for x, part in parts], axis=axis)
