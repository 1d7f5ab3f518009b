"""Training pairs from video (extra `[mining]`)."""

from keras_pretext.mining.recipe import MiningRecipe


def mine(*args, **kwargs):
    from keras_pretext.mining.pipeline import mine as run

    return run(*args, **kwargs)


__all__ = ["MiningRecipe", "mine"]
