"""Batches that a thread makes while the former one is used: the same ones, and no more."""

import threading
import time

import pytest

from keras_pretext.data.pipeline import ahead


def wait_for(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def threads():
    return [t for t in threading.enumerate() if t.name == "batches"]


def test_the_next_items_are_made_while_one_is_used_and_no_more():
    made = []
    stream = ahead((made.append(k) or k for k in range(100)), count=2)
    assert next(stream) == 0
    assert wait_for(lambda: made == [0, 1, 2, 3])  # two wait, and one is offered
    time.sleep(0.3)
    assert made == [0, 1, 2, 3]
    assert [0, *stream] == [*range(100)]
    assert wait_for(lambda: not threads())


def test_an_error_comes_where_its_item_would():
    def items():
        yield 1
        yield 2
        raise KeyError("lost")

    stream = ahead(items())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(KeyError, match="lost"):
        next(stream)


def test_the_thread_of_an_endless_stream_ends_with_it():
    stream = ahead(iter(int, 1))
    assert next(stream) == 0 and threads()
    stream.close()
    assert wait_for(lambda: not threads())
