import math

import numpy as np
import pytest

from keras_pretext import evaluation


def naive(train, train_labels, test, test_labels, k, temperature, classes):
    right = 0
    for x, label in zip(test, test_labels, strict=True):
        cosine = [float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y))) for y in train]
        votes = [0.0] * classes
        for i in sorted(range(len(train)), key=lambda i: -cosine[i])[:k]:
            votes[train_labels[i]] += math.exp(cosine[i] / temperature)
        right += votes.index(max(votes)) == label
    return right / len(test)


@pytest.mark.parametrize("k, temperature", [(1, 0.07), (7, 0.07), (20, 1.0), (120, 0.01)])
def test_vote_equals_a_naive_one(backbone, hard_train, hard_test, k, temperature):
    result = evaluation.knn(backbone, hard_train, hard_test, k=k, temperature=temperature)
    for tap in ("low", "high"):
        ours, theirs = (np.asarray(evaluation.features(backbone, source, tap, pooling="avg")[tap],
                                   np.float64) for source in (hard_train, hard_test))
        expected = naive(ours, hard_train.labels(), theirs, hard_test.labels(), k, temperature, 3)
        assert result.mean(tap) == pytest.approx(expected, abs=1e-9)
        assert result.taps[tap]["last"] == result.taps[tap]["best"]
        assert expected > 0.4


def test_itself_is_its_nearest_neighbour(backbone, train):
    assert evaluation.knn(backbone, train, train, "high", k=1).mean("high") == 1


def test_the_side_of_the_pictures_is_told(backbone, train):
    result = evaluation.knn(backbone, train, train, "high", image_size=16,
                            feature_dtype="float32")
    assert (result.settings["image_size"], result.settings["feature_dtype"]) == (16, "float32")


def test_bad_requests(backbone, train, test):
    from keras_pretext.data.arrays import ArraySource

    for k in (0, 121):
        with pytest.raises(ValueError, match=f"between 1 and the 120 .*Received: {k}"):
            evaluation.knn(backbone, train, test, k=k)
    with pytest.raises(ValueError, match="does not have. Received: 'plain'"):
        evaluation.knn(backbone, ArraySource(train.arrays()[0], None, "plain"), test)
    with pytest.raises(ValueError, match="unknown tap"):
        evaluation.knn(backbone, train, test, "lo")
