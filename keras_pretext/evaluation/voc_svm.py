"""Linear SVMs on frozen features of VOC 2007, whole and low-shot (Goyal et al., ICCV 2019)."""

import warnings

import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.evaluation.average_precision import RULES, average_precision
from keras_pretext.evaluation.exemplar_svm import linear_svc
from keras_pretext.evaluation.features import (
    check_taps,
    features,
    size_for,
    weights_digest,
)
from keras_pretext.evaluation.probe import ProbeResult

COSTS = (*(10.0**k for k in range(-7, 3)), *(0.5**k for k in range(4, 20)))


def checked_multi_labels(train, test, least=1):
    """`(train labels, test labels, names)`, int8 `(n, classes)` of 1, 0 and -1 (difficult).

    Raises ValueError where they cannot serve: a source without such labels, other classes in the
    two splits, no pictures left when the difficult ones are set aside, fewer than `least` clear
    pictures of a class in training or none in the test split, or none without it.
    """
    for role, source in (("training", train), ("test", test)):
        if source.multi_label_names is None:
            raise ValueError("this protocol needs data that say which classes each picture shows, "
                             f"such as voc/2007; the {role} split does not. "
                             f"Received: {source.name!r}, split {source.split!r}")
    names = tuple(train.multi_label_names)
    if names != tuple(test.multi_label_names):
        raise ValueError("the classes of the test split are those of the training split. Received: "
                         f"{names[:5]} and {tuple(test.multi_label_names)[:5]}")
    both = train.multi_labels(), test.multi_labels()
    for role, source, labels in (("training", train, both[0]), ("test", test, both[1])):
        if len(labels) and not (labels == 1).any() and (labels == -1).any():
            raise ValueError(f"all objects of the {role} split are marked difficult, and those do "
                             f"not count. Received: {source.name!r}, split {source.split!r}")
        enough = least if role == "training" else 1
        poor = [name for name, column in zip(names, labels.T, strict=True)
                if (column == 1).sum() < enough or not (column == 0).any()]
        if poor:
            raise ValueError(f"every class has {enough} or more pictures that show it clearly, and "
                             f"one that does not, in the {role} split. Received: {poor[:10]} with "
                             "fewer")
    return *both, names


def normalized(maps):
    """Rows of unit length (their norm is raised by 1e-5, as in the released code), float64."""
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-5)


def fit(x, labels, cost, seed=0):
    """A squared-hinge SVM in which the positives count twice. `labels` are True and False."""
    with warnings.catch_warnings():  # the released code stops after 2000 passes too
        warnings.filterwarnings("ignore", message="Liblinear failed to converge")
        return linear_svc(C=cost, class_weight={True: 2, False: 1}, tol=1e-4, max_iter=2000,
                          random_state=seed).fit(x, labels)


def cross_validated(x, labels, cost, seed=0):
    """Mean average precision of three folds in the data's order, the classes kept in proportion.
    """
    from sklearn.model_selection import StratifiedKFold

    return float(np.mean([average_precision(
        labels[out], fit(x[kept], labels[kept], cost, seed).decision_function(x[out]))
        for kept, out in StratifiedKFold(3).split(x, labels)]))


def voc_svm(model, train, test, taps=None, costs=COSTS, pooling="strided_avg", seed=0,
            image_size=None, cache=True, feature_dtype=None):
    """`goyal2019-voc07-svm`: one SVM a class on L2-normalised features of each tap.

    C is chosen for each class by the average precision of three-fold cross-validation (Goyal et
    al., 2019, section 6 and released code). In training pictures where a class is marked
    difficult count as without it, in the test they are left out. "last" is the mean over classes
    by rule "voc10", the released code's; `details` has every rule and class.

    Args:
        costs: candidates for C; the powers of ten from 1e-7 to 100 and of a half from 4 to 19.

    Returns:
        ProbeResult; its metric is mean average precision.
    """
    costs = _checked_costs(costs)
    labels, test_labels, names = checked_multi_labels(train, test, 3 if len(costs) > 1 else 1)
    linear_svc()
    ours, theirs, settings = _features(model, train, test, taps, pooling, image_size, cache,
                                       feature_dtype)
    result, details = {}, {}
    for tap in ours:
        x, held_out = normalized(ours[tap]), normalized(theirs[tap])
        chosen, scores = [], []
        for column in (labels == 1).T:
            tried = [cross_validated(x, column, c, seed) if len(costs) > 1 else 0 for c in costs]
            cost = costs[int(np.argmax(tried))]
            chosen.append(cost)
            scores.append(fit(x, column, cost, seed).decision_function(held_out))
        details[tap] = {**by_rule(test_labels, np.stack(scores, 1), names),
                        "costs": dict(zip(names, chosen, strict=True))}
        score = details[tap]["voc10"]["mean"]
        result[tap] = {"last": [score], "best": [score]}
    return ProbeResult("goyal2019-voc07-svm", result, {**settings, "candidates": list(costs),
                                                       "seed": seed},
                       metric="mAP (voc10)", details=details)


def by_rule(labels, scores, names):
    """`{rule: {"mean": float, "classes": {name: float}}}` for the three rules."""
    out = {}
    for rule in RULES:
        each = [average_precision(*columns, rule)
                for columns in zip(labels.T, scores.T, strict=True)]
        out[rule] = {"mean": float(np.mean(each)),
                     "classes": dict(zip(names, each, strict=True))}
    return out


def low_shot_sample(column, count, negatives, rng):
    """Indices of `count` clear positives and `negatives` negatives of a class, and their labels."""
    places = [np.flatnonzero(column == value) for value in (1, 0)]
    chosen = [rng.choice(p, n, replace=False) for p, n in zip(places, (count, negatives),
                                                              strict=True)]
    rows = np.sort(np.concatenate(chosen))
    return rows, column[rows] == 1


def low_shot(model, train, test, taps=None, counts=(1, 2, 4, 8, 16, 32, 64, 96), samples=5,
             costs=(1.0,), pooling="strided_avg", seed=0, image_size=None, cache=True,
             feature_dtype=None):
    """`goyal2019-voc07-low-shot`: the SVMs of `voc_svm` on a few pictures of each class.

    For a class, `count` positives and (classes - 1) * count negatives are drawn, `samples` times
    (released code). Of several `costs` the best on the test split is reported, as there, which
    flatters; the default is one, C = 1.

    Returns:
        dict from count to ProbeResult: "last" has a mean average precision ("voc10") a sample.
    """
    costs, counts = _checked_costs(costs), [int(count) for count in counts]
    if samples < 1 or not counts or min(counts) < 1:
        raise ValueError("counts and samples are at least 1. "
                         f"Received: counts={counts}, samples={samples}")
    labels, test_labels, names = checked_multi_labels(train, test, max(counts))
    negatives = max(counts) * max(1, len(names) - 1)
    if negatives > (labels == 0).sum(0).min():
        raise ValueError(f"a sample takes {negatives} pictures without the class, and there are "
                         f"{(labels == 0).sum(0).min()}: ask for fewer a class. "
                         f"Received: counts={counts}")
    linear_svc()
    ours, theirs, settings = _features(model, train, test, taps, pooling, image_size, cache,
                                       feature_dtype)
    unit = {tap: (normalized(ours[tap]), normalized(theirs[tap])) for tap in ours}
    results = {}
    for count in counts:
        taps_scores, details = {}, {}
        for tap, (x, held_out) in unit.items():
            means = np.array([[_low_shot_mean(x, labels, held_out, test_labels, count, cost,
                                              (seed, count, sample)) for sample in range(samples)]
                              for cost in costs])
            best = int(means.mean(1).argmax())
            taps_scores[tap] = {"last": means[best].tolist(), "best": means[best].tolist()}
            details[tap] = {"cost": costs[best]}
        results[count] = ProbeResult(
            "goyal2019-voc07-low-shot", taps_scores,
            {**settings, "labels_a_class": count, "samples": samples, "candidates": list(costs),
             "seed": seed}, metric="mAP (voc10)", details=details)
    return results


def _low_shot_mean(x, labels, held_out, test_labels, count, cost, key):
    each = []
    for k, (column, truth) in enumerate(zip(labels.T, test_labels.T, strict=True)):
        rows, wanted = low_shot_sample(column, count, count * max(1, labels.shape[1] - 1),
                                       np.random.default_rng([*key, k]))
        scores = fit(x[rows], wanted, cost).decision_function(held_out)
        each.append(average_precision(truth, scores, "voc10"))
    return float(np.mean(each))


def _checked_costs(costs):
    costs = tuple(float(cost) for cost in costs)
    if not costs or min(costs) <= 0:
        raise ValueError(f"costs are positive numbers, at least one. Received: {costs!r}")
    return costs


def _features(model, train, test, taps, pooling, image_size, cache, dtype):
    backbone = backbone_of(model)
    taps = check_taps(backbone, taps)
    options = {"taps": taps, "image_size": size_for(model, train, image_size),
               "pooling": pooling, "cache": cache, "dtype": dtype}
    settings = {"train": f"{train.name}/{train.split}", "test": f"{test.name}/{test.split}",
                "train_images": train.num_examples,
                "train_fingerprint": train.fingerprint()[:16], "backbone": backbone.name,
                "weights": weights_digest(backbone)[:16], "pooling": pooling,
                "image_size": options["image_size"]}
    return features(model, train, **options), features(model, test, **options), settings
