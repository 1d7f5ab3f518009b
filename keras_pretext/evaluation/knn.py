"""Nearest neighbours: no training at all."""

import numpy as np

from keras_pretext.evaluation.features import features, size_for
from keras_pretext.evaluation.probe import ProbeResult, checked_labels

PROTOCOL = "knn-cosine"


def knn(model, train, test, taps=None, k=20, temperature=0.07, image_size=None, cache=True,
        feature_dtype=None):
    """Weighted vote of the k nearest by cosine of average-pooled features.

    A neighbour's weight is exp(cosine / temperature) (Wu et al., 2018, section 3.4).
    `feature_dtype` and `cache` are `dtype` and `cache` of `features`. Returns a ProbeResult; with
    no training there is one score, given as both last and best.
    """
    train_labels, test_labels, classes = checked_labels(train, test)
    if not 1 <= k <= train.num_examples:
        raise ValueError(f"k is between 1 and the {train.num_examples} training pictures. "
                         f"Received: {k}")
    options = {"taps": taps, "image_size": size_for(model, train, image_size),
               "pooling": "avg", "cache": cache, "dtype": feature_dtype}
    ours, theirs = features(model, train, **options), features(model, test, **options)
    result = {}
    for tap in ours:
        a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
                for x in (np.asarray(theirs[tap], np.float32), np.asarray(ours[tap], np.float32)))
        right = 0
        for start in range(0, len(a), 500):
            cosine = a[start:start + 500] @ b.T
            near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
            # the common factor exp(-1 / temperature) keeps small temperatures from overflowing
            weight = np.exp((np.take_along_axis(cosine, near, 1) - 1) / temperature)
            votes = np.zeros((len(cosine), classes))
            np.add.at(votes, (np.arange(len(cosine))[:, None], train_labels[near]), weight)
            right += int((votes.argmax(1) == test_labels[start:start + 500]).sum())
        accuracy = right / len(a)
        result[tap] = {"last": [accuracy], "best": [accuracy]}
    return ProbeResult(PROTOCOL, result, {
        "k": k, "temperature": temperature, "train": f"{train.name}/{train.split}",
        "test": f"{test.name}/{test.split}", "train_images": train.num_examples,
        "image_size": options["image_size"], "feature_dtype": feature_dtype})
