"""Shared by all tests: quiet TensorFlow, small real pictures, the folder of real data."""

import atexit
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # everywhere the kernels of AVX-512 machines
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # processes of one run compile what is new
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="jax-")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = pathlib.Path(os.environ.get("KERAS_PRETEXT_DATA", ROOT.parent / "shared" / "data"))
os.environ["KERAS_PRETEXT_DATA"] = str(DATA)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def real_data():
    """The folder of real data; tests that need it skip where it is absent."""
    if not (DATA / "tfds").is_dir():
        pytest.skip(f"no real data in {DATA} (set KERAS_PRETEXT_DATA)")
    return DATA


@pytest.fixture
def npz(tmp_path, rng):
    """An .npz of 96 pictures whose four rotations are easy to tell apart, and labels."""
    ramp = np.linspace(0, 200, 32)[None, :, None, None]
    images = ramp + rng.integers(0, 56, (96, 32, 32, 3))
    path = tmp_path / "pictures.npz"
    np.savez(path, images=images.astype("uint8"), labels=np.arange(96) % 4)
    return path
