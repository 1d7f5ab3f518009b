"""Scenes: the embedded data set, small procedural pictures of ten kinds of things.

Nothing is downloaded and nothing but NumPy is needed to draw them. Every picture is a function of
(seed, split, index) alone, and the same scene can be drawn at any size.

    images, labels = scenes.load("train")                 # uint8 [6000, 32, 32, 3], int64 [6000]
    builder = scenes.Scenes(config="64")                  # the same as a TFDS builder
"""

from keras_pretext.data.scenes.render import CLASS_NAMES, SPLITS, load

__all__ = ["CLASS_NAMES", "SPLITS", "Scenes", "load"]


def __getattr__(name):
    if name == "Scenes":  # TFDS, and TensorFlow with it, load on first use
        from keras_pretext.data.scenes.builder import Scenes

        return Scenes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
