"""Few labels: a convolutional probe on n labels a class (Gidaris et al., 2018, Figure 5b)."""

import numpy as np

from keras_pretext.evaluation.conv import conv

PROTOCOL = "gidaris2018-semi-supervised"


def first_of_each_class(labels, count, seed=None):
    """Indices of `count` examples of every class: the first in the data's order, or by seed.

    Raises ValueError for a class that has fewer.
    """
    chosen = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) < count:
            raise ValueError(f"class {label} has {len(places)} examples. Received: {count} a class")
        if seed is not None:
            places = np.random.default_rng(seed).permutation(places)
        chosen.append(places[:count])
    return np.sort(np.concatenate(chosen))


def semi_supervised(model, train, test, tap, counts=(20, 100, 400, 1000, 5000), seeds=(0, 1, 2),
                    random=False, epochs=10, epoch_size=None, **options):
    """A conv probe of one tap for each number of labels a class.

    Args:
        counts: labels a class.
        random: the released code takes the first n of each class; True draws them by `seeds[0]`.
        epoch_size: examples an epoch, cycling the subset; the whole set's number by default.

    Returns:
        dict from count to ProbeResult; its settings hold the indices' digest.
    """
    from keras_pretext.data.source import digest

    results = {}
    for count in counts:
        indices = first_of_each_class(train.labels(), count, seeds[0] if random else None)
        result = conv(model, train, test, tap, seeds, epochs, indices=indices,
                      epoch_size=epoch_size or train.num_examples, **options)
        result.protocol = PROTOCOL
        result.settings.update(labels_a_class=count, indices=digest(indices)[:16],
                               subset="random" if random else "first")
        results[count] = result
    return results
