import numpy as np
import pytest

from keras_pretext.losses import adversarial
from keras_pretext.losses.reconstruction import Reconstruction, diversity, psnr


def example(rng, batch=3):
    """Labels with two dropped pixels, two of a frame; and answers."""
    labels = rng.integers(0, 256, (batch, 3, 4, 4), dtype=np.uint8)
    labels[..., 3] = 0
    labels[:, 0, :2, 3] = 1
    labels[:, 1, :2, 3] = 2
    return labels, rng.uniform(-1, 1, (batch, 3, 4, 3)).astype("float32")


def test_the_papers_formula_as_it_is_written(rng):
    labels, answers = example(rng)
    x = labels[..., :3] / 127.5 - 1
    mask = (labels[..., 3:] == 1) * 1.0
    for example_ in range(3):  # the squared norm of M * (x - F)
        expected = np.linalg.norm((mask * (x - answers))[example_]) ** 2
        found = Reconstruction(frame_weight=0, normalize=False)(
            labels[example_:example_ + 1], answers[example_:example_ + 1])
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_frame_weighs_ten_times_and_the_mean_is_over_what_is_compared(rng):
    labels, answers = example(rng)
    labels[1, :, :, 3] = 0  # nothing compared
    labels[2, 2, 3, 3] = 1  # one pixel more
    error = (labels[..., :3] / 127.5 - 1 - answers) ** 2
    expected = [sum(weight * error[k][labels[k, ..., 3] == kind].sum()
                    for kind, weight in ((1, 1), (2, 10))) / count
                for k, count in ((0, 12), (1, 1), (2, 15))]
    assert expected[1] == 0
    assert float(Reconstruction()(labels, answers)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_kept_pixels_neither_cost_nor_pull(rng):
    import tensorflow as tf

    labels, answers = example(rng)
    answers = tf.Variable(answers)
    with tf.GradientTape() as tape:
        loss = Reconstruction()(labels, answers)
    pulled = (np.abs(tape.gradient(loss, answers)) > 0).all(-1)
    np.testing.assert_array_equal(pulled, labels[..., 3] > 0)


def test_labels_without_a_mask_are_compared_everywhere(rng):
    labels, answers = example(rng)
    expected = ((labels[..., :3] / 127.5 - 1 - answers) ** 2).mean()
    assert float(Reconstruction()(labels[..., :3], answers)) == pytest.approx(expected, rel=1e-5)


def test_psnr(rng):
    labels, _ = example(rng)
    x = labels[..., :3] / 127.5 - 1
    away = np.where(labels[..., 3:] > 0, 0.2, 1.0)  # peak 2: 20 log10(2 / 0.2)
    np.testing.assert_allclose(psnr(labels, (x + away).astype("float32")), 20, atol=1e-3)
    np.testing.assert_allclose(psnr(labels, x.astype("float32")), 100, atol=3)


def test_diversity_is_the_ratio_of_deviations_over_the_batch(rng):
    labels = rng.integers(0, 256, (6, 3, 3, 4), dtype=np.uint8)
    labels[..., 3] = rng.integers(0, 3, (6, 3, 3))
    answers = rng.normal(size=(6, 3, 3, 3)).astype("float32")
    total = [0.0, 0.0]
    for y, x in np.ndindex(3, 3):
        there = labels[:, y, x, 3] > 0
        for k, values in enumerate((answers, labels[..., :3] / 127.5 - 1)):
            if there.any():
                part = values[there, y, x]
                total[k] += ((part - part.mean(0)) ** 2).sum()
    assert float(diversity(labels, answers)) == pytest.approx(np.sqrt(total[0] / total[1]), 1e-4)
    same = np.broadcast_to(answers[:1], answers.shape)
    assert float(diversity(labels, same)) == pytest.approx(0, abs=1e-3)
    assert float(diversity(labels[:1], answers[:1])) == 0.0  # one picture: no NaN


def test_the_game_in_numbers(rng):
    real, fake = (rng.normal(size=(5, 1)).astype("float32") for _ in range(2))
    d = [1 / (1 + np.exp(-x.astype("float64"))) for x in (real, fake)]
    assert float(adversarial.discriminator_loss(real, fake)) == pytest.approx(
        -np.log(d[0]).mean() - np.log(1 - d[1]).mean(), rel=1e-5)
    assert float(adversarial.generator_loss(fake)) == pytest.approx(-np.log(d[1]).mean(), rel=1e-5)
    assert float(adversarial.discriminator_accuracy(real, fake)) == pytest.approx(
        ((d[0] > 0.5).mean() + (d[1] <= 0.5).mean()) / 2)
    zero = np.zeros((4, 1), "float32")
    assert float(adversarial.discriminator_loss(zero, zero)) == pytest.approx(2 * np.log(2))
    sure = np.full((4, 1), 200.0, "float32")  # no overflow
    assert float(adversarial.discriminator_loss(-sure, sure)) == pytest.approx(400)
    assert float(adversarial.generator_loss(-sure)) == pytest.approx(200)


def test_bad_options():
    with pytest.raises(ValueError, match="at least 0. Received: -1"):
        Reconstruction(frame_weight=-1)
    loss = Reconstruction(3.0, False)
    assert Reconstruction.from_config(loss.get_config()).get_config() == loss.get_config()
