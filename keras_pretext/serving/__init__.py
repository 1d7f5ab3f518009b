"""Serving: SavedModels that need nothing but TensorFlow."""

from keras_pretext.serving.signatures import export

__all__ = ["export"]
