import numpy as np
import pytest

from keras_pretext.losses.masked import MaskedAccuracy, MaskedCrossentropy


def test_only_pixels_with_an_answer_count(rng):
    logits = rng.normal(size=(3, 2, 4, 5)).astype("float32")
    labels = rng.integers(-1, 5, (3, 2, 4))
    labels[1] = -1  # an example without any
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = []
    for example, log in zip(labels, logs, strict=True):
        costs = [-log[place][example[place]] for place in np.ndindex(2, 4) if example[place] >= 0]
        expected.append(np.mean(costs) if costs else 0.0)
    assert float(MaskedCrossentropy()(labels, logits)) == pytest.approx(np.mean(expected), 1e-5)
    metric = MaskedAccuracy()
    metric.update_state(labels, logits)
    known = labels >= 0
    assert float(metric.result()) == pytest.approx((logits.argmax(-1) == labels)[known].mean())


def test_nothing_to_answer_is_not_a_number_that_is_none():
    labels, logits = np.full((2, 3), -1), np.zeros((2, 3, 4), "float32")
    assert float(MaskedCrossentropy()(labels, logits)) == 0.0
    metric = MaskedAccuracy()
    metric.update_state(labels, logits)
    assert float(metric.result()) == 0.0
