"""Losses that Keras lacks."""

from keras_pretext import _backend

_backend.require()
