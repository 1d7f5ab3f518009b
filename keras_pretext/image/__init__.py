"""Pure image functions in keras.ops."""

from keras_pretext import _backend

_backend.require()
