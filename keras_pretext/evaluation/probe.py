"""Training of heads on features: every tap and every seed side by side, in one pass."""

import dataclasses

import keras
import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.data import draws
from keras_pretext.data.source import digest
from keras_pretext.evaluation.features import (
    augmentation,
    check_taps,
    feature_views,
    features,
    pictures,
    size_for,
    weights_digest,
)
from keras_pretext.evaluation.optimizer import optimizer_for
from keras_pretext.evaluation.pooling import pooled
from keras_pretext.training.precision import precision, quicker

CLASSES = "accuracy of each class"
MOST_CLASSES = 20  # that it is told of


@dataclasses.dataclass
class ProbeResult:
    """What a protocol measured.

    Attributes:
        protocol: its versioned name; results of different names are not comparable.
        taps: per tap `{"last": [...], "best": [...]}`, test accuracy in [0, 1], one a seed.
        settings: epochs, seeds, data and whatever else a reader needs to repeat it.
        indices: where only a part of the training examples served, per seed their int64 indices.
        metric: what the numbers are, where it is not accuracy.
        details: what else was measured, as JSON holds it.
    """

    protocol: str
    taps: dict
    settings: dict
    indices: dict | None = None
    metric: str = "accuracy"
    details: dict | None = None

    def mean(self, tap, epoch="last"):
        return float(np.mean(self.taps[tap][epoch]))

    def std(self, tap, epoch="last"):
        """Standard deviation over the seeds (of the sample; 0 for one seed)."""
        values = self.taps[tap][epoch]
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    def to_dict(self, indices=False):
        """What a card holds; with `indices=True` also the examples that were used, in full."""
        taps = {tap: {**values, "last_mean": self.mean(tap), "last_std": self.std(tap),
                      "best_mean": self.mean(tap, "best"), "best_std": self.std(tap, "best")}
                for tap, values in self.taps.items()}
        out = {"protocol": self.protocol, "settings": self.settings, "taps": taps}
        if self.metric != "accuracy":
            out["metric"] = self.metric
        if self.details is not None:
            out["details"] = self.details
        if indices and self.indices is not None:
            out["indices"] = {str(seed): rows.tolist() for seed, rows in self.indices.items()}
        return out

    def __str__(self):
        rows = [f"{self.protocol}: {self.metric} in % of the last epoch (best epoch)"]
        rows += [f"  {tap:10} {100 * self.mean(tap):6.2f} +- {100 * self.std(tap):.2f}"
                 f"   ({100 * self.mean(tap, 'best'):.2f})" for tap in self.taps]
        return "\n".join(rows)


def checked_labels(train, test, indices=None):
    """`(train labels, test labels, number of classes)`.

    Raises ValueError where they cannot serve a classifier: no labels, other classes in the two
    splits, fewer training pictures (of `indices`, if given) than classes, a class never trained.
    """
    for role, source in (("training", train), ("test", test)):
        if not source.has_labels:
            raise ValueError(f"a protocol needs labels, which the {role} split does not have. "
                             f"Received: {source.name!r}, split {source.split!r}")
    if tuple(test.class_names) != tuple(train.class_names)[:len(test.class_names)]:
        raise ValueError("the classes of the test split are those of the training split. Received: "
                         f"{len(train.class_names)} classes {train.class_names[:5]} and "
                         f"{len(test.class_names)} classes {test.class_names[:5]}")
    train_labels, test_labels = np.asarray(train.labels()), np.asarray(test.labels())
    classes = len(train.class_names)
    used = train_labels if indices is None else train_labels[indices]
    if len(used) < classes:
        raise ValueError(f"there are fewer training pictures than the {classes} classes. "
                         f"Received: {len(used)}")
    wrong = set(np.unique(used)) | set(np.unique(test_labels))
    wrong = sorted(int(label) for label in wrong if not 0 <= label < classes)
    if wrong:
        raise ValueError(f"labels are in 0..{classes - 1}. Received: {wrong[:10]}")
    unseen = sorted(set(test_labels.tolist()) - set(used.tolist()))
    if unseen:
        raise ValueError("classes of the test split are missing from the training split. "
                         f"Received: {unseen[:10]}")
    return train_labels, test_labels, classes


def _check_counts(seeds, epochs, batch_size):
    seeds = [int(seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are different integers, at least one. Received: {seeds}")
    if epochs < 1 or batch_size < 1:
        raise ValueError("epochs and batch_size are at least 1. "
                         f"Received: epochs={epochs}, batch_size={batch_size}")
    return seeds


def epoch_order(available, count, seed, epoch, num_draws):
    """Which examples an epoch visits: `count` places, cycling `available`, and draws for each."""
    cycles = -(-count // available)
    places = np.concatenate([draws.order(available, seed, epoch * cycles + k)
                             for k in range(cycles)])[:count]
    return places, draws.draws(seed, epoch, np.arange(count), num_draws)


def run_probe(protocol, head, model, train, test, taps=None, seeds=(0, 1, 2), epochs=10,
              batch_size=128, learning_rate=0.1, drops=(0.4, 0.8, 0.9), factor=0.2, decay=5e-4,
              nesterov=True, pooling=None, image_size=None, flip=True, indices=None,
              epoch_size=None, dtype=None, feature_dtype=None, cache=True, tiles=1,
              crops=0):
    """Trains `head(maps_shape, classes, seed, name) -> keras.Model` on every tap and seed.

    All heads are trained side by side in one pass over the features. They share the order of the
    examples and differ, between seeds, in their first weights.

    Args:
        head: that function, or a dict of one for each tap.
        drops: fractions of the epochs after which the learning rate is multiplied by `factor`.
        decay: of the weights, coupled.
        flip: also train on the mirrored pictures' features; each epoch takes one view of an
            example at random.
        crops: where not 0, instead train on so many views of the pictures, shifted and mirrored at
            random as in RotNet's code (`feature_views`), each epoch on the next one: as many as
            `epochs` are the augmentation of training on pictures. Each costs a pass over the data
            and a file of its features.
        indices: the training examples to use; all by default.
        epoch_size: examples an epoch draws (cycling `indices`); their number by default.
        dtype: the heads' dtype policy, by default the quicker of "mixed_bfloat16" and "float32" on
            this machine; normalisation over maps, logits and loss are float32.
        feature_dtype, cache, tiles: `dtype`, `cache` and `tiles` of `features`.

    Returns:
        ProbeResult.
    """
    seeds = _check_counts(seeds, epochs, batch_size)
    if crops < 0 or (crops and not flip):
        raise ValueError("crops is at least 0, and random views are mirrored ones too: with them "
                         f"`flip` is True. Received: crops={crops}, flip={flip}")
    backbone = backbone_of(model)
    taps = check_taps(backbone, taps)
    train_labels, test_labels, classes = checked_labels(train, test, indices)
    used = np.arange(train.num_examples) if indices is None else np.asarray(indices)
    options = {"taps": taps, "image_size": size_for(model, train, image_size),
               "pooling": pooling, "cache": cache, "dtype": feature_dtype, "tiles": tiles}
    flips = () if crops else (False, True) if flip else (False,)
    views = feature_views(model, train, flips, crops=crops, **options)
    held_out = features(model, test, **options)
    count = epoch_size or len(used)
    batch_size = min(batch_size, count)
    steps = count // batch_size
    dtype = dtype or quicker()
    with precision(dtype):
        inputs = {t: keras.Input(views[0][t].shape[1:], name=t, dtype="float16") for t in taps}
        makers = head if isinstance(head, dict) else dict.fromkeys(taps, head)
        outputs = {f"{t}_seed{s}": makers[t](inputs[t].shape[1:], classes, s, f"{t}_seed{s}")(
            inputs[t]) for t in taps for s in seeds}
        heads = keras.Model(inputs, outputs)
        heads.compile(optimizer_for(epochs * steps, learning_rate, drops, factor, decay, nesterov),
                      loss={n: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                            for n in outputs}, jit_compile=False)
    accuracy = {n: [] for n in outputs}
    for epoch in range(epochs):
        order, numbers = epoch_order(len(used), count, 0, epoch, 1)
        for step in range(steps):
            part = slice(step * batch_size, (step + 1) * batch_size)
            rows = np.argsort(used[order[part]], kind="stable")
            chosen = used[order[part]][rows]
            batch = {t: views[epoch % crops if crops else 0][t][chosen] for t in taps}
            if flip and not crops:
                mirrored = np.flatnonzero(numbers[part][rows, 0] < 0.5)
                for t in taps:
                    batch[t][mirrored] = views[1][t][chosen[mirrored]]
            labels = train_labels[chosen]
            heads.train_on_batch(batch, {n: labels for n in outputs})
        right = _right(heads, held_out, test_labels, classes)
        for name, hits in right.items():
            accuracy[name].append(float(hits.sum()) / len(test_labels))
    result = {t: {"last": [accuracy[f"{t}_seed{s}"][-1] for s in seeds],
                  "best": [max(accuracy[f"{t}_seed{s}"]) for s in seeds]} for t in taps}
    return ProbeResult(protocol, result, {
        **_settings(train, test, backbone, used, indices), "epochs": epochs, "seeds": seeds,
        "batch_size": batch_size, "learning_rate": learning_rate, "drops": list(drops),
        "factor": factor, "decay": decay, "nesterov": nesterov, "flip": flip, "pooling": pooling,
        "image_size": options["image_size"], "feature_dtype": feature_dtype, "dtype": dtype,
        **({"crops": crops} if crops else {}), **({} if tiles == 1 else {"tiles": tiles})},
        None if indices is None else dict.fromkeys(seeds, used),
        details=_of_each_class(right, taps, seeds, np.bincount(test_labels, minlength=classes),
                               train.class_names))


def _of_each_class(right, taps, seeds, counts, names):
    """`{tap: {CLASSES: {name: mean accuracy of the last epoch}}}`, of a few classes; else None."""
    if len(names) > MOST_CLASSES:
        return None
    return {t: {CLASSES: {name: float(np.mean([right[f"{t}_seed{s}"][k] for s in seeds]) / count)
                          for k, (name, count) in enumerate(zip(names, counts, strict=True))
                          if count}} for t in taps}


def _settings(train, test, backbone, used, indices):
    settings = {"train": f"{train.name}/{train.split}", "test": f"{test.name}/{test.split}",
                "train_images": len(used), "train_fingerprint": train.fingerprint()[:16],
                "backbone": backbone.name, "weights": weights_digest(backbone)[:16]}
    if indices is not None:
        settings["indices"] = digest(np.asarray(used, np.int64))[:16]
    return settings


def _right(heads, held_out, labels, classes, batch=500):
    """How many pictures of each class every head tells (as they are: one centre crop, no flip)."""
    right = {}
    for start in range(0, len(labels), batch):
        part = {t: np.ascontiguousarray(v[start:start + batch]) for t, v in held_out.items()}
        shown = labels[start:start + batch]
        for n, logits in heads.predict_on_batch(part).items():
            hits = shown[np.argmax(logits, -1) == shown]
            right[n] = right.get(n, 0) + np.bincount(hits, minlength=classes)
    return right


def keep_weights(layer, former, backbone):
    """Gives a layer the weights of the `former` one, a layer of a backbone.

    Raises:
        ValueError: where they do not fit: fc6 does not cover a pool5 of stride 2.
    """
    values = former.get_weights()
    if [v.shape for v in values] != [tuple(w.shape) for w in layer.weights]:
        side, found = layer.weights[0].shape[0], values[0].shape[0]
        raise ValueError("a fully connected layer covers the whole of pool5, whose stride is 2: "
                         f"{side}x{side} features at this image_size. Received: {former.name} of "
                         f"{backbone.name} with a kernel of {found}x{found}")
    layer.set_weights(values)


def seed_dropout(model, seed):
    """Lets a network's dropout be told by the seed and the layers' places alone."""
    for k, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            layer.seed_generator.state.assign([seed % 2**32, k])


def fan_out(seed):
    """N(0, sqrt(2 / fan_out)), the initial weights of RotNet's classifiers."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=seed)


def finetune(protocol, head, model, train, test, taps, seeds=(0, 1, 2), epochs=10, batch_size=128,
             learning_rate=0.1, drops=(0.4, 0.8, 0.9), factor=0.2, slower=0.1, pooling=None,
             image_size=None, flip=True, indices=None, epoch_size=None, dtype=None,
             cache=True):
    """Trains a head and a copy of the extractor together, the extractor `slower` times as fast.

    Pictures are centrally framed, shifted by up to an eighth of their side (4 of 32 pixels) and,
    with `flip`, mirrored at random. The tenfold slower extractor is our choice: the paper
    publishes no setting. Normalisation in the extractor uses batch statistics while training.
    Other arguments and result: see `run_probe`; `taps` is one name.
    """
    seeds = _check_counts(seeds, epochs, batch_size)
    backbone = backbone_of(model)
    names = check_taps(backbone, taps)
    if len(names) != 1:
        raise ValueError(f"fine-tuning takes one tap of {', '.join(backbone.taps)}. "
                         f"Received: {taps!r}")
    tap = names[0]
    train_labels, test_labels, classes = checked_labels(train, test, indices)
    used = np.arange(train.num_examples) if indices is None else np.asarray(indices)
    size = size_for(model, train, image_size)
    images, held_out = (pictures(source, size, cache) for source in (train, test))
    augment = augmentation(size, flip)
    count = epoch_size or len(used)
    batch_size = min(batch_size, count)
    steps = count // batch_size
    result, dtype = {"last": [], "best": []}, dtype or quicker()
    for seed in seeds:
        with precision(dtype):
            copy = type(backbone).from_config(backbone.get_config())
            copy.set_weights(backbone.get_weights())
            seed_dropout(copy, seed)
            inputs = keras.Input((size, size, 3), name="images")
            maps = pooled(copy.extractor(tap)(inputs), pooling)
            whole = keras.Model(inputs, head(maps.shape[1:], classes, seed, "head")(maps))
            optimizer = optimizer_for(epochs * steps, learning_rate, drops, factor)
            optimizer.slow_down(copy.trainable_variables, slower)
            whole.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True), jit_compile=False)
        scores = []
        for epoch in range(epochs):
            order, numbers = epoch_order(len(used), count, seed, epoch, augment.num_draws)
            for step in range(steps):
                part = slice(step * batch_size, (step + 1) * batch_size)
                chosen = used[order[part]]
                batch, _ = augment(np.ascontiguousarray(images[chosen]), numbers[part])
                whole.train_on_batch(batch, train_labels[chosen])
            hits = sum((np.argmax(whole.predict_on_batch(np.ascontiguousarray(
                held_out[k:k + 500])), -1) == test_labels[k:k + 500]).sum()
                for k in range(0, len(held_out), 500))
            scores.append(float(hits) / len(held_out))
        result["last"].append(scores[-1])
        result["best"].append(max(scores))
    return ProbeResult(f"{protocol}-finetuned", {tap: result}, {
        **_settings(train, test, backbone, used, indices), "epochs": epochs, "seeds": seeds,
        "batch_size": batch_size, "slower": slower, "learning_rate": learning_rate,
        "drops": list(drops), "factor": factor, "flip": flip, "image_size": size,
        "dtype": dtype},
        None if indices is None else dict.fromkeys(seeds, used))
