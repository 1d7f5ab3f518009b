"""A residual trunk that trains in no time."""

import keras
from keras import layers

from keras_pretext import backbones
from keras_pretext.backbones.base import Backbone, normalized

TRUNK = ("tiny_trunk", {})


@backbones.registry.register("tiny_trunk")
@keras.saving.register_keras_serializable(package="keras_pretext_tests")
class TinyTrunk(Backbone):
    """Two residual units of eight channels, every fourth pixel."""

    units = ("unit1", "unit2")
    mean, std = (120.0,) * 3, (60.0,) * 3

    def __init__(self, name="tiny_trunk"):
        inputs = keras.Input((None, None, 3), name="images")
        x = layers.Conv2D(8, 4, 4, name="conv1")(normalized(inputs, self.mean, self.std))
        for unit in self.units:
            y = layers.ReLU()(layers.BatchNormalization(center=False, scale=False,
                                                        name=f"{unit}_bn")(x))
            x = layers.Add(name=unit)([x, layers.Conv2D(8, 3, padding="same",
                                                        name=f"{unit}_conv")(y)])
        super().__init__(inputs, {"conv1": (x, 4), "block1": (layers.ReLU()(x), 4)}, name=name)

    def get_config(self):
        return {"name": self.name}
