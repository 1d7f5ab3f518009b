"""Training: recipes, the trainer, exact resume."""

import importlib

_HOME = {"Recipe": "recipe", "load_recipe": "recipe", "train": "trainer", "Trainer": "trainer",
         "load_run": "runs", "evaluate": "pretext_metrics"}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
