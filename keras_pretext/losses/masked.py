"""Classification of pixels of which some have no answer."""

import keras
from keras import ops

NO_ANSWER = -1


@keras.saving.register_keras_serializable(package="keras_pretext")
class MaskedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits, averaged over the pixels of an example that have a label.

    Labels are integers `(batch, ...)`, -1 where there is no answer; logits `(batch, ..., ways)`.
    An example without any answer costs nothing.
    """

    def __init__(self, name="masked_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, "int32")
        known = ops.cast(labels != NO_ANSWER, y_pred.dtype)
        cost = ops.sparse_categorical_crossentropy(ops.maximum(labels, 0), y_pred,
                                                   from_logits=True)
        axes = tuple(range(1, len(cost.shape)))
        return ops.sum(cost * known, axes) / ops.maximum(ops.sum(known, axes), 1.0)


@keras.saving.register_keras_serializable(package="keras_pretext")
class MaskedAccuracy(keras.metrics.Mean):
    """The share of the pixels with a label, over all examples, whose largest logit is theirs."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels = ops.cast(y_true, "int32")
        right = ops.cast(ops.argmax(y_pred, -1), "int32") == labels
        known = ops.cast(labels != NO_ANSWER, "float32")
        return super().update_state(ops.cast(right, "float32"), sample_weight=known)
