import pytest


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (6, 12, 12, 3)).astype("uint8")
