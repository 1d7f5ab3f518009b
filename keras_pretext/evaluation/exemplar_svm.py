"""Linear SVMs on the features of all layers (Dosovitskiy et al., 2014, section 4.1)."""

import pathlib

import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.evaluation.features import features, size_for, weights_digest
from keras_pretext.evaluation.probe import ProbeResult, checked_labels

PROTOCOL = "dosovitskiy2014-svm"


def linear_svc(**options):
    """scikit-learn's LinearSVC (liblinear). Raises ImportError with the remedy where it lacks."""
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise ImportError("support vector machines need scikit-learn: "
                          "pip install 'keras_pretext[svm]'") from error
    return LinearSVC(**options)


def stacked(maps, scales=None, percentile=99.99):
    """Features of all taps side by side, each tap divided by its percentile.

    Args:
        maps: dict from tap to `(n, ...)`.
        scales: dict from tap to divisor; computed from the maps by default.

    Returns:
        `(float32 (n, features), scales)`.
    """
    flat = {tap: np.asarray(m, np.float32).reshape(len(m), -1) for tap, m in maps.items()}
    if scales is None:
        scales = {tap: float(np.percentile(m, percentile)) for tap, m in flat.items()}
        scales = {tap: value if value > 0 else 1.0 for tap, value in scales.items()}
    return np.concatenate([m / scales[tap] for tap, m in flat.items()], 1), scales


def balanced_folds(labels, count, per_class, seed=0):
    """`count` index arrays, in each `per_class` random examples of every class.

    Folds are disjoint as far as the classes reach. Raises ValueError for a class that has fewer.
    """
    folds = [[] for _ in range(count)]
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if not 1 <= per_class <= len(places):
            raise ValueError(f"class {label} has {len(places)} pictures; a fold takes between 1 "
                             f"and that many. Received: {per_class}")
        order = np.random.default_rng([seed, int(label)])
        shuffled = order.permutation(places)
        for k, fold in enumerate(folds):
            start = k * per_class
            if (start + per_class) > len(places):  # none are left: draw anew
                fold.append(order.permutation(places)[:per_class])
            else:
                fold.append(shuffled[start:start + per_class])
    return [np.sort(np.concatenate(fold)) for fold in folds]


def read_folds(path):
    """The folds of a text file, a line each. Raises ValueError where it is none."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
        folds = [np.array(line.split(), np.int64) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise ValueError(f"a file of folds has integers, one fold a line ({error}). "
                         f"Received: {path}") from None
    if not folds:
        raise ValueError(f"this file holds no folds. Received: {path}")
    return folds


def _checked_folds(folds, labels):
    classes = set(np.unique(labels).tolist())
    checked = []
    for k, fold in enumerate(folds):
        fold = np.asarray(fold)
        if fold.ndim != 1 or fold.dtype.kind not in "iu" or not len(fold) or (
                fold.min() < 0 or fold.max() >= len(labels)):
            raise ValueError(f"a fold is a list of indices in 0..{len(labels) - 1}. "
                             f"Received: {fold.dtype} {fold.shape} as fold {k}")
        missing = sorted(classes - set(labels[fold].tolist()))
        if missing:
            raise ValueError(f"every fold has pictures of every class. Received: fold {k} without "
                             f"{missing[:10]}")
        checked.append(fold.astype(np.int64))
    return checked


def exemplar_svm(model, train, test, taps=None, folds=10, per_class=None, draws=50,
                 costs=(2e-4, 2e-1), pooling="quadrants", seed=0, image_size=None, cache=True,
                 feature_dtype=None):
    """One-against-all linear SVMs on all layers together; mean and deviation over folds.

    Every map is max-pooled over four quadrants ("quadrants"; STL-10, CIFAR) or a pyramid of 1, 4
    and 16 cells ("pyramid"; Caltech), each layer divided by its 99.99th percentile over the
    training pictures. C is drawn log-uniformly, the best of fold 1 against the rest of the
    training set chosen, or by two-fold cross-validation where nothing is left (CIFAR-10 with
    `folds=1`; the paper draws 30). The machines are liblinear's, L2-regularised, with a tolerance
    of 0.1. Fully connected taps run over the picture as convolutions. The paper's weights for the
    pyramid's levels are not known and left out.

    Args:
        taps: names; by default all, but of a convolution and its pooling the latter alone.
        folds: a number of random class-balanced folds, a list of index arrays, or a text file
            with the indices of one fold a line, as STL-10's `fold_indices.txt` is.
        per_class: labels a class in a random fold; by default a `folds`-th of the rarest class.
            STL-10's official folds have 100, of 500.
        draws, costs: of C.
        seed: of the folds, the draws and liblinear.
        image_size: side of the pictures in pixels; by default their own where they have one (96 of
            STL-10, whatever the model was trained on). The paper shows CIFAR-10 at 64.

    Returns:
        ProbeResult with one entry, "all" (or the single tap), a score for each fold; the chosen C
        is in the settings, the folds in `indices`, and in the details the mean over classes, which
        Caltech's rows are.
    """
    labels, test_labels, _ = checked_labels(train, test)
    low, high = costs
    if not 0 < low <= high or draws < 1:
        raise ValueError("costs are a range of positive numbers, draws at least 1. "
                         f"Received: costs={costs!r}, draws={draws!r}")
    if isinstance(folds, int):
        if folds < 1:
            raise ValueError(f"at least one fold. Received: {folds}")
        if per_class is None:
            per_class = max(1, np.bincount(labels)[np.unique(labels)].min() // folds)
        folds = balanced_folds(labels, folds, per_class, seed)
    elif isinstance(folds, str | pathlib.Path):
        folds = read_folds(folds)
    folds = _checked_folds(folds, labels)
    linear_svc()  # is scikit-learn there?
    backbone = backbone_of(model)
    taps = taps or [tap for tap in backbone.taps  # a quadrant's maximum is the same in both
                    if tap.replace("conv", "pool") not in {*backbone.taps} - {tap}]
    own = train.uniform_shape
    options = {"taps": taps,
               "image_size": size_for(model, train, min(own[:2]) if own and image_size is None
                                      else image_size),
               "pooling": pooling, "cache": cache, "dtype": feature_dtype}
    maps = features(model, train, **options)
    x, scales = stacked(maps)
    cost = _chosen_cost(x, labels, folds[0], low, high, draws, seed)
    held_out, _ = stacked(features(model, test, **options), scales)
    right = [_fit(x[fold], labels[fold], cost, seed).predict(held_out) == test_labels
             for fold in folds]
    scores = [float(hits.mean()) for hits in right]
    of_classes = [float(np.mean([hits[test_labels == label].mean()
                                 for label in np.unique(test_labels)])) for hits in right]
    name = "all" if len(maps) > 1 else next(iter(maps))
    return ProbeResult(PROTOCOL, {name: {"last": scores, "best": scores}}, {
        "train": f"{train.name}/{train.split}", "test": f"{test.name}/{test.split}",
        "train_images": train.num_examples, "train_fingerprint": train.fingerprint()[:16],
        "backbone": backbone.name, "weights": weights_digest(backbone)[:16], "taps": list(maps),
        "pooling": pooling, "image_size": options["image_size"], "features": x.shape[1],
        "folds": len(folds), "fold_images": len(folds[0]), "cost": cost, "draws": draws,
        "costs": list(costs), "seed": seed}, dict(enumerate(folds)),
        details={name: {"mean over classes": of_classes}})


def _fit(x, labels, cost, seed):
    return linear_svc(C=cost, tol=0.1, random_state=seed).fit(x, labels)


def _chosen_cost(x, labels, fold, low, high, draws, seed):
    """The C that does best when trained on the first fold and tested on the rest.

    Where there is no rest, in two-fold cross-validation, the classes kept in proportion.
    """
    rest = np.setdiff1d(np.arange(len(labels)), fold)
    drawn = np.random.default_rng(seed).uniform(np.log(low), np.log(high), draws)
    drawn = np.exp(drawn)
    if draws == 1:
        return float(drawn[0])
    if len(rest):
        parts = [(fold, rest)]
    else:
        from sklearn.model_selection import StratifiedKFold

        parts = list(StratifiedKFold(2, shuffle=True, random_state=seed).split(x, labels))
    scores = [np.mean([(_fit(x[kept], labels[kept], cost, seed).predict(x[out])
                        == labels[out]).mean() for kept, out in parts]) for cost in drawn]
    return float(drawn[int(np.argmax(scores))])
