import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.evaluation.semi_supervised import first_of_each_class

QUICK = {"epochs": 1, "batch_size": 12, "epoch_size": 24, "flip": False}


def test_the_first_of_each_class_in_the_datas_order():
    labels = np.array([2, 0, 0, 1, 2, 1, 0, 2, 1, 0])
    assert first_of_each_class(labels, 2).tolist() == [0, 1, 2, 3, 4, 5]
    assert first_of_each_class(labels, 1).tolist() == [0, 1, 3]


def test_random_subsets_are_balanced_and_follow_the_seed(rng):
    labels = rng.integers(0, 4, 400)
    a, again, b = (first_of_each_class(labels, 20, seed) for seed in (0, 0, 1))
    assert np.array_equal(a, again) and not np.array_equal(a, b)
    assert len(set(a.tolist())) == 80 and set(np.bincount(labels[a])) == {20}


@pytest.mark.parametrize("count, received", [(41, "41"), (0, "0")])
def test_impossible_counts(backbone, train, test, cache, count, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        evaluation.semi_supervised(backbone, train, test, "high", counts=(2, count), seeds=(0,))
    assert not cache.exists()  # known before any work


def test_only_the_subset_is_trained_on(backbone, train, test):
    """With the labels of all other pictures spoilt the result is the same."""
    from keras_pretext.data.arrays import ArraySource

    images, labels = train.arrays()
    chosen = first_of_each_class(labels, 5)
    spoilt = np.roll(labels, 1)
    spoilt[chosen] = labels[chosen]
    other = ArraySource(images, spoilt, class_names=train.class_names)
    first = evaluation.conv(backbone, train, test, "high", seeds=(0,), indices=chosen, **QUICK)
    second = evaluation.conv(backbone, other, test, "high", seeds=(0,), indices=chosen, **QUICK)
    assert first.taps == second.taps and first.settings["train_images"] == 15


def test_results_by_count_publish_their_examples(backbone, train, test):
    results = evaluation.semi_supervised(backbone, train, test, "high", counts=(2, 5),
                                         seeds=(0, 1), **QUICK)
    assert list(results) == [2, 5]
    for count, result in results.items():
        assert result.protocol == "gidaris2018-semi-supervised"
        assert result.settings["labels_a_class"] == count and result.settings["subset"] == "first"
        assert len(result.taps["high"]["last"]) == 2
        expected = first_of_each_class(train.labels(), count)
        for seed in (0, 1):
            np.testing.assert_array_equal(result.indices[seed], expected)
        assert result.to_dict(indices=True)["indices"]["0"] == expected.tolist()
        assert "indices" not in result.to_dict()


def test_random_subsets_differ_between_seeds(backbone, train, test):
    (result,) = evaluation.semi_supervised(backbone, train, test, "high", counts=(3,), seeds=(0, 1),
                                           random=True, **QUICK).values()
    assert not np.array_equal(result.indices[0], result.indices[1])
    assert len(set(result.settings["indices"])) == 2 and len(result.taps["high"]["last"]) == 2


def test_fine_tuned(backbone, train, test):
    (result,) = evaluation.semi_supervised(backbone, train, test, "high", counts=(3,), seeds=(0,),
                                           frozen=False, **QUICK).values()
    assert result.protocol == "gidaris2018-semi-supervised-finetuned"
    assert result.settings["train_images"] == 9
