import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.svm import LinearSVC

from keras_pretext import evaluation
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.exemplar_svm import balanced_folds, read_folds, stacked
from keras_pretext.evaluation.features import features
from keras_pretext.evaluation.voc_svm import (
    COSTS,
    checked_multi_labels,
    cross_validated,
    low_shot_sample,
    normalized,
)


def several(count, seed, classes=3, difficult=0.1, noise=60):
    """Each class that a picture shows brightens one channel."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, classes)) < 0.4).astype(int)
    images = rng.normal(70, noise, (count, 8, 8, 3)) + 70 * labels[:, None, None, :]
    labels[(labels == 1) & (rng.random(labels.shape) < difficult)] = -1
    return ArraySource(np.clip(images, 0, 255).astype("uint8"), name=f"several{seed}",
                       multi_labels=labels, class_names=["red", "green", "blue"][:classes])


# -- exemplar ----------------------------------------------------------------------------------


def test_layers_are_scaled_by_their_own_percentile(rng):
    maps = {"a": 100 * rng.random((50, 2, 2, 3)), "b": rng.random((50, 4))}
    x, scales = stacked(maps)
    assert x.shape == (50, 16) and scales["a"] == pytest.approx(
        np.percentile(maps["a"], 99.99), rel=1e-5)
    np.testing.assert_allclose(x[:, 12:], maps["b"] / scales["b"], rtol=1e-5)
    again, _ = stacked({"a": 2 * maps["a"], "b": maps["b"]}, scales)
    np.testing.assert_allclose(again[:, :12], 2 * x[:, :12], rtol=1e-5)
    assert np.isfinite(stacked({"dead": np.zeros((3, 4))})[0]).all()


def test_folds_are_balanced_disjoint_and_told_by_the_seed():
    labels = np.repeat([0, 1, 2], 20)
    folds = balanced_folds(labels, 4, 5, seed=1)
    assert [np.bincount(labels[fold]).tolist() for fold in folds] == [[5, 5, 5]] * 4
    assert len(np.unique(np.concatenate(folds))) == 60
    for a, b in zip(folds, balanced_folds(labels, 4, 5, seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (balanced_folds(labels, 4, 5, seed=2)[0] != folds[0]).any()
    many = balanced_folds(labels, 10, 15)  # more than there are: drawn anew, still balanced
    assert [np.bincount(labels[fold]).tolist() for fold in many] == [[15, 15, 15]] * 10
    with pytest.raises(ValueError, match="class 0 has 20 pictures.*Received: 21"):
        balanced_folds(labels, 2, 21)


def test_exemplar_protocol_is_liblinear_on_all_layers(backbone, hard_train, hard_test):
    """Against scikit-learn on features made by hand, with one C."""
    folds = [np.arange(0, 60), np.arange(60, 120)]
    result = evaluation.exemplar_svm(backbone, hard_train, hard_test, folds=folds, draws=1,
                                     costs=(0.01, 0.01))
    assert result.protocol == "dosovitskiy2014-svm" and list(result.taps) == ["all"]

    def by_hand(source, scales=None):
        maps = features(backbone, source)
        parts = []
        for tap in ("low", "high"):
            m = np.asarray(maps[tap], np.float32)
            h, w = m.shape[1] // 2, m.shape[2] // 2
            parts.append(np.stack([m[:, :h, :w].max((1, 2)), m[:, :h, w:].max((1, 2)),
                                   m[:, h:, :w].max((1, 2)), m[:, h:, w:].max((1, 2))],
                                  1).reshape(len(m), -1))
        scales = scales or [np.percentile(p, 99.99) for p in parts]
        return np.concatenate([p / s for p, s in zip(parts, scales, strict=True)], 1), scales

    x, scales = by_hand(hard_train)
    y, _ = by_hand(hard_test, scales)
    labels = hard_train.labels()
    scores = [LinearSVC(C=0.01, tol=0.1, random_state=0).fit(x[f], labels[f]).score(
        y, hard_test.labels()) for f in folds]
    assert result.taps["all"]["last"] == pytest.approx(scores)
    assert 0.34 < np.mean(scores) < 1 and result.settings["features"] == 4 * (4 + 8)


def test_c_is_chosen_on_the_first_fold_against_the_rest(backbone, hard_train, hard_test):
    result = evaluation.exemplar_svm(backbone, hard_train, hard_test, "high", folds=3,
                                     per_class=10, draws=4, costs=(1e-6, 10.0), seed=3)
    assert list(result.taps) == ["high"] and len(result.taps["high"]["last"]) == 3
    assert [len(rows) for rows in result.indices.values()] == [30, 30, 30]
    drawn = np.exp(np.random.default_rng(3).uniform(np.log(1e-6), np.log(10.0), 4))
    assert np.isclose(drawn, result.settings["cost"]).any()
    x, _ = stacked(features(backbone, hard_train, "high", pooling="quadrants"))
    labels, fold = hard_train.labels(), result.indices[0]
    rest = np.setdiff1d(np.arange(120), fold)
    scores = [LinearSVC(C=c, tol=0.1, random_state=3).fit(x[fold], labels[fold]).score(
        x[rest], labels[rest]) for c in drawn]
    assert result.settings["cost"] == pytest.approx(drawn[int(np.argmax(scores))])
    assert len(set(scores)) > 1


def test_c_of_a_fold_of_everything_is_cross_validated(backbone, hard_train, hard_test):
    drawn = np.exp(np.random.default_rng(3).uniform(np.log(1e-6), np.log(10.0), 4))
    result = evaluation.exemplar_svm(backbone, hard_train, hard_test, "high", folds=1, draws=4,
                                     costs=(1e-6, 10.0), seed=3)
    x, _ = stacked(features(backbone, hard_train, "high", pooling="quadrants"))
    halves = StratifiedKFold(2, shuffle=True, random_state=3)
    scores = [cross_val_score(LinearSVC(C=c, tol=0.1, random_state=3), x, hard_train.labels(),
                              cv=halves).mean() for c in drawn]
    assert int(np.argmax(scores)) > 0, "the first draw would be no choice"
    assert result.settings["cost"] == pytest.approx(drawn[int(np.argmax(scores))])
    of_classes, = result.details["high"]["mean over classes"]
    assert of_classes == pytest.approx(result.mean("high"), abs=0.02)  # classes of one size


def test_a_convolution_and_its_pooling_count_once():
    from keras_pretext.backbones import ExemplarCNN

    backbone = ExemplarCNN("64c5-64c5-128f", image_size=32)
    source = ArraySource(np.zeros((12, 64, 64, 3), np.uint8), np.arange(12) % 3)
    result = evaluation.exemplar_svm(backbone, source, source, folds=1, draws=1)
    assert result.settings["taps"] == ["pool1", "pool2", "fc"]
    assert result.settings["features"] == 4 * 256  # the paper's count of maps, four times


def test_folds_of_a_file_as_stl_10_has_them(tmp_path):
    path = tmp_path / "fold_indices.txt"
    path.write_text("3 1 2 \n5 4 0\n\n")
    assert [fold.tolist() for fold in read_folds(path)] == [[3, 1, 2], [5, 4, 0]]
    for text in ("", "1 x"):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"folds.*Received: {path}"):
            read_folds(path)
    with pytest.raises(ValueError, match="one fold a line.*Received: .*nowhere"):
        read_folds(tmp_path / "nowhere")


@pytest.mark.parametrize("options, message", [
    ({"folds": 0}, "at least one fold. Received: 0"),
    ({"folds": [[0, 1, 3]]}, r"every class. Received: fold 0 without \[2\]"),
    ({"folds": [[0, 500]]}, r"indices in 0..119"),
    ({"costs": (0, 1)}, "positive"), ({"draws": 0}, "draws=0"), ({"per_class": 41}, "has 40"),
])
def test_exemplar_bad_input_before_features(backbone, train, test, options, message, monkeypatch):
    monkeypatch.setattr(sys.modules["keras_pretext.evaluation.exemplar_svm"], "features", None)
    with pytest.raises(ValueError, match=message):
        evaluation.exemplar_svm(backbone, train, test, **options)


# -- VOC ---------------------------------------------------------------------------------------


def test_costs_are_the_papers():
    assert len(COSTS) == 26 and min(COSTS) == 1e-7 and {0.5**4, 0.5**19, 100.0} <= set(COSTS)


def test_cross_validation_against_scikit_learns(rng):
    x = rng.normal(size=(60, 5))
    labels = x[:, 0] + rng.normal(size=60) > 0.3
    machine = LinearSVC(C=0.1, class_weight={True: 2, False: 1}, tol=1e-4, max_iter=2000,
                        random_state=0)
    theirs = cross_val_score(machine, x, labels, cv=3, scoring="average_precision").mean()
    assert cross_validated(x, labels, 0.1) == pytest.approx(theirs, abs=1e-9)


def test_voc_svm_by_hand(backbone):
    train, test = several(120, 1), several(80, 2)
    costs = (0.01, 1.0)
    result = evaluation.voc_svm(backbone, train, test, "high", costs=costs)
    maps = [np.asarray(features(backbone, s, "high", pooling="strided_avg")["high"], np.float64)
            for s in (train, test)]
    x, y = (m.reshape(len(m), -1) / (np.linalg.norm(m.reshape(len(m), -1), axis=1)
                                     + 1e-5)[:, None] for m in maps)
    labels, truth = train.multi_labels(), test.multi_labels()
    each = []
    for k in range(3):
        wanted = np.where(labels[:, k] == 1, 1, -1)  # difficult ones are negatives in training
        machines = [LinearSVC(C=c, class_weight={1: 2, -1: 1}, tol=1e-4, max_iter=2000,
                              random_state=0) for c in costs]
        best = max(machines, key=lambda m: cross_val_score(  # noqa: B023
            m, x, wanted, cv=3, scoring="average_precision").mean())
        assert result.details["high"]["costs"][train.multi_label_names[k]] == best.C
        kept = truth[:, k] >= 0  # and left out of the test
        each.append(average_precision_score(
            truth[kept, k], best.fit(x, wanted).decision_function(y[kept])))
    found = result.details["high"]["pr_area"]
    assert list(found["classes"].values()) == pytest.approx(each, abs=1e-6)
    assert result.taps["high"]["last"] == [result.details["high"]["voc10"]["mean"]]
    assert result.to_dict()["metric"] == "mAP (voc10)" and "mAP" in str(result)
    assert 0.5 < np.mean(each) < 1


def test_a_low_shot_sample_has_the_asked_pictures(rng):
    column = np.array([1] * 8 + [0] * 30 + [-1] * 5)
    rows, wanted = low_shot_sample(column, 3, 12, rng)
    assert len(rows) == 15 and (column[rows] == 1).sum() == 3 and (column[rows] == 0).sum() == 12
    np.testing.assert_array_equal(wanted, column[rows] == 1)


def test_low_shot_has_a_score_a_sample_and_more_pictures_help(backbone):
    results = evaluation.low_shot(backbone, several(200, 1), several(80, 2), "high",
                                  counts=(1, 32), samples=3)
    assert list(results) == [1, 32]
    assert [len(r.taps["high"]["last"]) for r in results.values()] == [3, 3]
    assert len(set(results[1].taps["high"]["last"])) > 1
    assert results[32].mean("high") > results[1].mean("high")
    assert results[1].settings["labels_a_class"] == 1


def test_rows_have_unit_length(rng):
    x = normalized(rng.random((4, 2, 2, 3)).astype("float16"))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-4)


def labelled(labels):
    return ArraySource(np.zeros((len(labels), 8, 8, 3), np.uint8), multi_labels=labels)


@pytest.mark.parametrize("train, test, message", [
    (ArraySource(np.zeros((2, 8, 8, 3), np.uint8), [0, 1]), labelled([[1, 0]]),
     "such as voc/2007; the training split does not"),
    (labelled([[1], [0]]), labelled([[1, 0], [0, 1]]), "classes of the test split"),
    (labelled([[1, 0], [0, 1]]), labelled([[-1, -1], [-1, -1]]), "test split are marked difficult"),
    (labelled([[1, 0], [0, 0]]), labelled([[1, 0], [0, 1]]), r"training split. Received: \['1'\]"),
    (labelled([[1, 0], [0, 1]]), labelled([[1, 1], [0, 1]]), r"test split. Received: \['1'\]"),
])
def test_labels_that_cannot_serve(train, test, message):
    with pytest.raises(ValueError, match=message):
        checked_multi_labels(train, test)


def test_too_few_for_a_sample_is_told_before_features(backbone, monkeypatch):
    monkeypatch.setattr(sys.modules["keras_pretext.evaluation.voc_svm"], "features", None)
    with pytest.raises(ValueError, match="96 or more pictures.*training split"):
        evaluation.low_shot(backbone, several(120, 1), several(80, 2))
    with pytest.raises(ValueError, match=r"a sample takes \d+ pictures without the class"):
        evaluation.low_shot(backbone, several(60, 1, difficult=0), several(80, 2), counts=(18,))
    with pytest.raises(ValueError, match="positive numbers"):
        evaluation.voc_svm(backbone, several(60, 1), several(80, 2), costs=(0.0,))
