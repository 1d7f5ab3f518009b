"""Data: sources of pictures behind one interface, and the pipeline that feeds a task."""

from keras_pretext.data.opening import open
from keras_pretext.data.source import DataError, Source

__all__ = ["DataError", "Source", "open"]
