"""Supervised classification: the reference that pretext tasks are compared with, not one of them.
"""

import math

import keras
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.tasks.base import FlipLayer, PretextModel, Task, registry


@keras.saving.register_keras_serializable(package="keras_pretext")
class ClassificationLayer(FlipLayer):
    """Crops and flips; the pipeline adds the source's labels (`uses_labels`)."""

    uses_labels = True

    def puzzle(self, images, draws):
        images = self.mirrored(images, draws)
        return images, ops.zeros((ops.shape(images)[0],), "int32")


@registry.register("classification")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Classification(Task):
    """Predict the human label: global average pooling and a linear layer on a tap.

    Args:
        num_classes: of the source's labels.
        image_size, framing, flip, tap: as for `Rotation`.
    """

    name = "classification"

    def __init__(self, num_classes, image_size=32, framing=None, flip=True, tap=None):
        if num_classes < 2:
            raise ValueError(f"num_classes is at least 2. Received: {num_classes!r}")
        self.framing = framings.of_size(
            framings.crops(image_size) if framing is None else framing, image_size)
        self.num_classes, self.image_size = num_classes, image_size
        self.flip, self.tap = flip, tap
        self.num_draws = self.framing.num_draws + 1

    @property
    def chance(self):
        return {"loss": math.log(self.num_classes), "accuracy": 1 / self.num_classes}

    def layer(self, augment=True):
        if augment:
            return ClassificationLayer(self.flip, self.framing)
        return ClassificationLayer(False, self.framing.evaluation())

    def objective(self):
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def attach(self, backbone, name="classification_model", **kwargs):
        inputs = keras.Input((self.image_size, self.image_size, 3), name="images")
        features = backbone.extractor(self.tap or list(backbone.taps)[-1])(inputs)
        features = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(features)
        logits = layers.Dense(self.num_classes, dtype="float32", name="logits",
                              kernel_initializer="he_normal")(features)
        model = PretextModel(inputs, logits, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def preview(self, images, draws):
        layer = self.layer()
        return [[("input", ops.convert_to_numpy(layer(ops.convert_to_tensor(image),
                                                      ops.convert_to_tensor(draw))[0]))]
                for image, draw in zip(images, draws, strict=True)]

    def get_config(self):
        return {"num_classes": self.num_classes, "image_size": self.image_size,
                "framing": framings.serialize(self.framing), "flip": self.flip, "tap": self.tap}
