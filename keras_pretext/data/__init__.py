"""Data: sources of pictures behind one interface, and the pipeline that feeds a task."""

from keras_pretext.data.source import Source, open

__all__ = ["Source", "open"]
