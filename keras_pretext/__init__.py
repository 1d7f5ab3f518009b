"""keras_pretext: self-supervised pretext tasks for Keras 3.

Importing this package loads neither Keras nor a backend; the parts below do so on first use.
"""

import importlib

from keras_pretext import _backend

__version__ = "0.1.0"

_PARTS = ("tasks", "backbones", "layers", "losses", "image", "data", "training", "evaluation",
          "visualize", "zoo", "serving")

_backend.choose()


def __getattr__(name):
    if name in _PARTS:
        return importlib.import_module(f"keras_pretext.{name}")
    raise AttributeError(f"module 'keras_pretext' has no attribute {name!r}. "
                         f"Its parts are {', '.join(_PARTS)}.")


def __dir__():
    return sorted([*globals(), *_PARTS])
