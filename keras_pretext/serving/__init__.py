"""Serving: SavedModels that need nothing but TensorFlow, bundles for TF Serving, a client."""

import importlib

_HOME = {"export": "signatures", "whitening": "signatures", "serve_bundle": "bundle",
         "Client": "client", "ServingError": "client"}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
