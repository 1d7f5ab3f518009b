import numpy as np
import pytest

from keras_pretext import backbones, data, tasks
from keras_pretext.training import evaluate


@pytest.fixture
def model():
    return tasks.get("rotation").attach(backbones.get("network_in_network", blocks=2))


def by_hand(model, images):
    """Loss and accuracy of the four rotations, from the model's answers in NumPy."""
    copies = np.stack([np.rot90(images, k, (1, 2)) for k in range(4)], axis=1)
    logits = np.asarray(model(copies, training=False), np.float64)
    logits -= logits.max(-1, keepdims=True)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    right = np.arange(4)
    return -log[:, right, right].mean(), (log.argmax(-1) == right).mean()


@pytest.mark.parametrize("count", [None, 50, 7])
def test_every_picture_counts_once_the_last_incomplete_batch_included(model, npz, count):
    source = data.open(f"npz:{npz}")
    images = source.arrays()[0][:count]
    found = evaluate(model, source, batch_size=20, images=count)
    loss, accuracy = by_hand(model, images)
    assert found["images"] == len(images)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-4)
    np.testing.assert_allclose(found["accuracy"], accuracy, atol=1e-6)


def test_a_running_epochs_metrics_are_left_as_they_were(model, npz):
    source = data.open(f"npz:{npz}")
    model.compute_metrics(None, np.zeros((2, 4), "int32"), np.zeros((2, 4, 4), "float32"))
    before = [np.asarray(v) for v in model.metrics_variables]
    assert any(v.any() for v in before)
    evaluate(model, source)
    for a, b in zip(before, model.metrics_variables, strict=True):
        np.testing.assert_array_equal(a, np.asarray(b))
