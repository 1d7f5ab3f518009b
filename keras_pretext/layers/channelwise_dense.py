"""The channel-wise fully connected layer (Pathak et al., CVPR 2016, section 3.1)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class ChannelwiseDense(keras.layers.Layer):
    """Every map fully connected to itself, none to another: `(batch, n, n, m)` to the same shape.

    What one corner of a picture shows reaches the other corner with m n**4 weights, where a fully
    connected layer takes m**2 n**4. There is no bias and no activation. First weights are normal
    with deviation 1 / n, which keeps the size of what goes through.
    """

    def build(self, input_shape):
        _, height, width, maps = input_shape
        if height is None or width is None:
            raise ValueError("the maps' height and width must be known. "
                             f"Received: shape {tuple(input_shape)}")
        places = height * width
        self.kernel = self.add_weight(
            name="kernel", shape=(maps, places, places),
            initializer=keras.initializers.RandomNormal(stddev=places ** -0.5))

    def call(self, inputs):
        _, height, width, maps = inputs.shape
        x = ops.transpose(ops.reshape(inputs, (-1, height * width, maps)), (2, 0, 1))
        x = ops.transpose(ops.matmul(x, self.kernel), (1, 2, 0))  # (maps, batch, places)
        return ops.reshape(x, (-1, height, width, maps))

    def compute_output_shape(self, input_shape):
        return input_shape
