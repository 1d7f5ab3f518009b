"""Serving: SavedModels that need nothing but TensorFlow, bundles for TF Serving, a client; features
of whole data sets, and a search among them."""

import importlib

_HOME = {"export": "signatures", "whitening": "signatures", "serve_bundle": "bundle",
         "Client": "client", "ServingError": "client", "extract": "extraction", "Index": "search",
         "neighbours": "search"}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
