"""The dtype policy that models are built under."""

import contextlib

import keras


@contextlib.contextmanager
def precision(policy):
    """A global dtype policy for what is built inside, then the former one again."""
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)
