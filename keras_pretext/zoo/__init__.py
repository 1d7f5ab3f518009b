"""The zoo: trained models that describe and check themselves.

    model = keras_pretext.zoo.load("rotnet_alexnet", taps="conv5", pooling="avg")
    features = model(images)   # uint8 or float in 0..255, (batch, height, width, 3)
"""

from keras_pretext.zoo.entry import add_metrics, load, publish, set_aside, tables, verify
from keras_pretext.zoo.store import info, list
from keras_pretext.zoo.transfer import bundle, fetch

__all__ = ["add_metrics", "bundle", "fetch", "info", "list", "load", "publish", "set_aside",
           "tables", "verify"]
