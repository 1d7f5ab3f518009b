"""Few labels: a convolutional probe on n labels a class (Gidaris et al., 2018, Figure 5b)."""

import numpy as np

from keras_pretext.data.source import digest
from keras_pretext.evaluation.conv import conv
from keras_pretext.evaluation.probe import ProbeResult, checked_labels

PROTOCOL = "gidaris2018-semi-supervised"


def first_of_each_class(labels, count, seed=None):
    """Indices of `count` examples of every class: the first in the data's order, or by seed.

    Raises ValueError for a class that has fewer.
    """
    if count < 1:
        raise ValueError(f"at least one label a class. Received: {count}")
    chosen = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < count:
            raise ValueError(f"class {label} has {len(places)} examples; ask for at most that "
                             f"many labels a class. Received: {count}")
        if seed is not None:
            places = np.random.default_rng([seed, int(label)]).permutation(places)
        chosen.append(places[:count])
    return np.sort(np.concatenate(chosen))


def semi_supervised(model, train, test, tap, counts=(20, 100, 400, 1000, 5000), seeds=(0, 1, 2),
                    random=False, epochs=10, epoch_size=None, frozen=True, **options):
    """A conv probe of one tap for each number of labels a class.

    Args:
        counts: labels a class.
        random: the released code takes the first n of each class, for every seed; True draws
            another subset for each seed.
        epoch_size: examples an epoch, cycling the subset; the whole set's number by default.
        frozen, options: of `conv`; `frozen=False` trains the extractor too: on random weights, with
            `slower=1`, that is the supervised network of Figure 5b.

    Returns:
        dict from count to ProbeResult, whose `indices` are the chosen examples by seed (their
        digest is in the settings).
    """
    labels, _, _ = checked_labels(train, test)
    groups = [(seed,) for seed in seeds] if random else [tuple(seeds)]
    subsets = {(count, group): first_of_each_class(labels, count, group[0] if random else None)
               for count in counts for group in groups}
    results = {}
    for count in counts:
        parts = [conv(model, train, test, tap, group, epochs, indices=subsets[count, group],
                      epoch_size=epoch_size or train.num_examples, frozen=frozen, **options)
                 for group in groups]
        name = next(iter(parts[0].taps))
        scores = {key: [score for part in parts for score in part.taps[name][key]]
                  for key in ("last", "best")}
        indices = {seed: rows for part in parts for seed, rows in part.indices.items()}
        protocol = PROTOCOL + parts[0].protocol.removeprefix("gidaris2018-conv")
        results[count] = ProbeResult(protocol, {name: scores}, {
            **parts[0].settings, "seeds": list(seeds), "labels_a_class": count,
            "indices": [digest(indices[seed])[:16] for seed in seeds],
            "subset": "random" if random else "first"}, indices)
    return results
