"""Training pairs from video (extra `[mining]`)."""

from keras_pretext.mining.recipe import MiningRecipe

__all__ = ["MiningRecipe", "mine"]


def __getattr__(name):
    if name == "mine":  # Beam, OpenCV and faiss load on first use
        from keras_pretext.mining.pipeline import mine

        return mine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
