"""Pictures, puzzles and what models make of them, to look at in a browser."""

from keras_pretext.explore.pictures import Pictures, open_pictures

__all__ = ["Pictures", "open_pictures", "serve"]


def __getattr__(name):
    if name == "serve":  # Gradio loads on first use
        from keras_pretext.explore.server import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
