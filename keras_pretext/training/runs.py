"""What a finished run left, read back."""

import pathlib

import keras


def load_run(folder):
    """The trained PretextModel of a run folder, read back from disk."""
    path = pathlib.Path(folder) / "final" / "model.keras"
    if not path.exists():
        raise ValueError("a finished run has final/model.keras; this folder has none. "
                         f"Received: {folder}")
    from keras_pretext import backbones, tasks  # noqa: F401  (registers the classes, as the next)
    from keras_pretext.training import optimizers, schedules  # noqa: F401

    return keras.models.load_model(path, safe_mode=True)
