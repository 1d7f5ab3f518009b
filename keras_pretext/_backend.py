"""Which Keras backend is installed, found without importing one."""

import importlib.util
import os
import sys

_BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}

_MISSING = """no Keras backend is installed. Install one of
  pip install "keras_pretext[cpu]"   TensorFlow for CPU hosts
  pip install "keras_pretext[gpu]"   TensorFlow with CUDA
  pip install "keras_pretext[jax]"   JAX (training from arrays only)
`tensorflow` and `tensorflow-cpu` write the same files: install only one of them."""


def _installed(module):
    return importlib.util.find_spec(module) is not None


def choose():
    """Sets KERAS_BACKEND to jax where TensorFlow is absent and nobody has chosen."""
    if "KERAS_BACKEND" in os.environ or "keras" in sys.modules:
        return
    if not _installed("tensorflow") and _installed("jax"):
        os.environ["KERAS_BACKEND"] = "jax"


def require():
    """Raises ImportError with the remedy where the chosen backend is not installed."""
    chosen = os.environ.get("KERAS_BACKEND", "tensorflow")
    if not _installed(_BACKENDS.get(chosen, chosen)):
        raise ImportError(f"{_MISSING}\nReceived: KERAS_BACKEND={chosen!r}, which is not there.")
