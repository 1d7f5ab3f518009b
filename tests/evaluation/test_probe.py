import json

import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation import probe
from keras_pretext.training.precision import quicker

QUICK = {"epochs": 2, "batch_size": 40, "flip": False}


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_an_epoch_cycles_a_subset_evenly_and_never_repeats_itself():
    places, numbers = probe.epoch_order(7, 30, 0, 0, 2)
    counts = np.bincount(places, minlength=7)
    assert len(places) == 30 and numbers.shape == (30, 2) and set(counts) == {4, 5}
    seen = {tuple(places[k:k + 7]) for epoch in range(3)
            for places in [probe.epoch_order(7, 28, 0, epoch, 1)[0]] for k in range(0, 28, 7)}
    assert len(seen) == 12
    whole, _ = probe.epoch_order(9, 9, 0, 0, 1)
    assert sorted(whole) == list(range(9))


def naive_linear(train, train_labels, test, test_labels, seed, epochs, batch, rate):
    """The linear probe in float64: BN without scale and shift over (n, h, w), softmax, SGD."""
    classes, (count, *shape) = 3, train.shape
    weights = numpy(probe.fan_out(seed)((int(np.prod(shape)), classes))).astype(np.float64)
    bias = np.zeros(classes)
    state = [np.zeros_like(weights), np.zeros_like(bias)]
    mean, variance = np.zeros(shape[-1]), np.ones(shape[-1])
    steps, step, scores = count // batch, 0, []
    ends = [max(1, round(d * epochs * steps)) for d in (5 / 35, 15 / 35, 25 / 35)]
    for epoch in range(epochs):
        order, _ = probe.epoch_order(count, count, 0, epoch, 1)
        for k in range(steps):
            rows = np.sort(order[k * batch:(k + 1) * batch])
            x, y = train[rows], train_labels[rows]
            m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
            mean, variance = 0.9 * mean + 0.1 * m, 0.9 * variance + 0.1 * v
            flat = ((x - m) / np.sqrt(v + 1e-5)).reshape(batch, -1)
            logits = flat @ weights + bias
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            p[np.arange(batch), y] -= 1
            lr = rate * 0.2 ** sum(step >= end for end in ends)
            step += 1
            for i, (value, gradient) in enumerate([(weights, flat.T @ p / batch),
                                                   (bias, p.mean(0))]):
                gradient = gradient + 5e-4 * value
                state[i] = 0.9 * state[i] - lr * gradient
                value += 0.9 * state[i] - lr * gradient
        flat = ((test - mean) / np.sqrt(variance + 1e-5)).reshape(len(test), -1)
        scores.append(((flat @ weights + bias).argmax(1) == test_labels).mean())
    return scores


def test_linear_probe_equals_a_naive_one_in_numpy(backbone, hard_train):
    """Scored on the training pictures, where accuracy moves with every step."""
    maps = np.asarray(evaluation.features(backbone, hard_train, "high")["high"], np.float64)
    labels = hard_train.labels()
    result = evaluation.linear(backbone, hard_train, hard_train, "high", seeds=(0, 3), flip=False,
                               dtype="float32", epochs=6, batch_size=24, learning_rate=0.1)
    for k, seed in enumerate((0, 3)):
        scores = naive_linear(maps, labels, maps, labels, seed, 6, 24, 0.1)
        assert result.taps["high"]["last"][k] == pytest.approx(scores[-1], abs=1e-9)
        assert result.taps["high"]["best"][k] == pytest.approx(max(scores), abs=1e-9)
        assert 0.4 < scores[-1] < 1  # neither chance nor so easy that anything would do
    assert len(set(result.taps["high"]["last"])) == 2


def test_heads_trained_side_by_side_are_those_trained_alone(backbone, hard_train, hard_test):
    together = evaluation.linear(backbone, hard_train, hard_test, seeds=(0, 1), dtype="float32",
                                 **QUICK)
    for tap in ("low", "high"):
        for k, seed in enumerate((0, 1)):
            alone = evaluation.linear(backbone, hard_train, hard_test, tap, seeds=(seed,),
                                      dtype="float32", **QUICK)
            assert alone.taps[tap]["last"] == [together.taps[tap]["last"][k]]
    assert together.taps["low"] != together.taps["high"]


def test_mirrored_views_are_trained_on(backbone, train, test, monkeypatch):
    """Only the mirrored views show the class."""
    true = probe.feature_views
    blank = ArraySource(np.full_like(train.arrays()[0], 90), train.labels(),
                        class_names=train.class_names)

    def views(model, source, flips, **options):
        found = true(model, source, flips, **options)
        return [found[0], *true(model, train, (True,), **options)][:len(flips)]

    monkeypatch.setattr(probe, "feature_views", views)
    options = {"seeds": (0,), "epochs": 6, "batch_size": 20, "learning_rate": 0.1}
    assert evaluation.linear(backbone, blank, test, "high", flip=True, **options).mean(
        "high") > 0.7
    assert evaluation.linear(backbone, blank, test, "high", flip=False, **options).mean(
        "high") < 0.5


def test_each_epoch_trains_on_the_next_random_view(backbone, train, test, monkeypatch):
    taken, true = [], probe.feature_views

    class Noted(dict):
        def __getitem__(self, tap):
            taken.append(self.place)
            return super().__getitem__(tap)

    def noted(*args, **options):
        views = [Noted(view) for view in true(*args, **options)]
        for place, view in enumerate(views):
            view.place = place
        return views

    monkeypatch.setattr(probe, "feature_views", noted)
    options = {"seeds": (0,), "batch_size": 120, "epochs": 3}
    result = evaluation.linear(backbone, train, test, "high", crops=2, **options)
    assert taken[-3:] == [0, 1, 0] and set(taken) == {0, 1}
    assert result.settings["crops"] == 2
    assert "crops" not in evaluation.linear(backbone, train, test, "high", **options).settings
    for wrong in ({"crops": -1}, {"crops": 1, "flip": False}):
        with pytest.raises(ValueError, match=f"Received: crops={wrong['crops']}"):
            evaluation.linear(backbone, train, test, "high", **wrong)


def test_last_and_best_epoch_and_the_spread_over_seeds(backbone, train, test, monkeypatch):
    epochs = iter([{"high_seed0": 0.5, "high_seed1": 0.6}, {"high_seed0": 0.9, "high_seed1": 0.4},
                   {"high_seed0": 0.7, "high_seed1": 0.3}])

    def right(heads, held_out, labels, classes):  # all of the first class
        return {name: np.eye(classes)[0] * score * len(labels)
                for name, score in next(epochs).items()}

    monkeypatch.setattr(probe, "_right", right)
    result = evaluation.linear(backbone, train, test, "high", seeds=(0, 1), epochs=3, flip=False)
    assert {key: pytest.approx(scores) for key, scores in result.taps["high"].items()} == {
        "last": [0.7, 0.3], "best": [0.9, 0.6]}
    assert result.mean("high") == pytest.approx(0.5)
    assert result.std("high") == pytest.approx(0.2 * 2**0.5)
    assert result.mean("high", "best") == pytest.approx(0.75)
    assert result.settings["dtype"] == quicker()
    written = json.loads(json.dumps(result.to_dict()))
    assert written["protocol"] == "gidaris2018-linear"
    assert written["taps"]["high"]["best_mean"] == pytest.approx(0.75)
    assert written["settings"]["seeds"] == [0, 1] and written["settings"]["epochs"] == 3
    assert "50.00 +- 28.28" in str(result) and "75.00" in str(result)


def test_the_accuracy_of_each_class_makes_up_the_whole(backbone, hard_train, hard_test):
    result = evaluation.linear(backbone, hard_train, hard_test, taps="high", cache=False, **QUICK)
    told = result.details["high"][probe.CLASSES]
    labels = np.asarray(hard_test.labels())
    assert [*told] == list(hard_test.class_names) and len(set(told.values())) > 1
    shares = np.bincount(labels) / len(labels)
    assert np.dot(shares, [*told.values()]) == pytest.approx(result.mean("high"))


def test_a_pretext_model_is_probed_by_its_backbone(train, test):
    from keras_pretext import backbones, tasks

    keras.utils.set_random_seed(0)
    model = tasks.get("rotation", image_size=8).attach(
        backbones.get("network_in_network", blocks=3))
    result = evaluation.linear(model, train, test, "block3", seeds=(0,), **QUICK)
    assert set(result.taps) == {"block3"} and result.settings["image_size"] == 8
    asked = evaluation.linear(model, train, test, "block3", seeds=(0,), dtype="float32", **QUICK)
    assert asked.settings["dtype"] == "float32"


def test_fine_tuning_trains_a_copy(backbone, hard_train, hard_test):
    before = [w.copy() for w in backbone.get_weights()]
    result = evaluation.linear(backbone, hard_train, hard_test, "high", seeds=(0,), frozen=False,
                               epochs=2, batch_size=20)
    assert result.protocol == "gidaris2018-linear-finetuned"
    assert result.settings["slower"] == 0.1 and 0 <= result.mean("high") <= 1
    assert result.settings["dtype"] == quicker()
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fine_tuning_learns_what_the_frozen_features_lack(backbone, hard_train, hard_test):
    for variable in backbone.trainable_variables[:1]:
        variable.assign(variable * 0.05)  # a nearly dead first layer
    options = {"seeds": (0,), "epochs": 8, "batch_size": 20, "flip": False}
    slow, fast = (evaluation.linear(backbone, hard_train, hard_train, "high", frozen=False,
                                    slower=slower, learning_rate=0.05, **options).mean("high")
                  for slower in (0.0, 1.0))
    assert fast > slow


def test_bad_requests_are_answered_before_any_work(backbone, train, test, cache):
    unlabelled = ArraySource(train.arrays()[0], None, "plain")
    calls = [evaluation.linear, evaluation.nonlinear, evaluation.conv]
    for call in calls:
        with pytest.raises(ValueError, match="training split does not have. Received: 'plain'"):
            call(backbone, unlabelled, test)
        with pytest.raises(ValueError, match="test split does not have. Received: 'plain'"):
            call(backbone, train, unlabelled)
        with pytest.raises(ValueError, match="unknown tap of tiny.*'high'.*Received: 'hig'"):
            call(backbone, train, test, "hig")
        with pytest.raises(ValueError, match="one tap of low, high. Received: None"):
            call(backbone, train, test, frozen=False)
    few = ArraySource(train.arrays()[0][:2], [0, 1], "few", class_names=train.class_names)
    with pytest.raises(ValueError, match="fewer training pictures than the 3 classes. Received: 2"):
        evaluation.linear(backbone, few, test)
    with pytest.raises(ValueError, match="3 classes. Received: 2"):
        evaluation.linear(backbone, train, test, indices=[0, 1])
    two = ArraySource(train.arrays()[0][:9], [0, 1, 0, 1, 0, 1, 0, 1, 0], "two",
                      class_names=train.class_names)
    with pytest.raises(ValueError, match=r"missing from the training split. Received: \[2\]"):
        evaluation.linear(backbone, two, test)
    other = ArraySource(test.arrays()[0], test.labels(), "o", class_names=("a", "b", "c"))
    with pytest.raises(ValueError, match="classes of the test split.*Received"):
        evaluation.linear(backbone, train, other)
    wrong = ArraySource(train.arrays()[0], train.labels() + 1, "w", class_names=train.class_names)
    with pytest.raises(ValueError, match=r"in 0..2. Received: \[3\]"):
        evaluation.linear(backbone, wrong, test)
    for seeds in ((), (1, 1)):
        with pytest.raises(ValueError, match="seeds are different"):
            evaluation.linear(backbone, train, test, seeds=seeds)
    with pytest.raises(ValueError, match="Received: epochs=0"):
        evaluation.linear(backbone, train, test, epochs=0)
    assert not cache.exists()
