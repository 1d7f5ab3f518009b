"""The folder of a run: one process trains in it, and what a finished run left is read back."""

import contextlib
import pathlib
import warnings

import keras


@contextlib.contextmanager
def locked(folder):
    """Keeps other processes of this host from training in a folder meanwhile.

    Raises:
        ValueError: where one does. The lock of a killed process is none.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with open(pathlib.Path(folder) / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError("another process is training in this folder: wait for its end, or use "
                             f"another one. Received: {folder}") from None
        except OSError:  # a file system without locks
            pass
        yield


def load_run(folder):
    """The trained PretextModel of a run folder, read back from disk."""
    path = pathlib.Path(folder) / "final" / "model.keras"
    if not path.exists():
        raise ValueError("a finished run has final/model.keras; this folder has none. "
                         f"Received: {folder}")
    from keras_pretext import backbones, tasks  # noqa: F401  (registers the classes, as the next)
    from keras_pretext.training import optimizers, schedules  # noqa: F401

    with warnings.catch_warnings():  # of the optimizer's state, which nothing here reads
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        return keras.models.load_model(path, safe_mode=True)
