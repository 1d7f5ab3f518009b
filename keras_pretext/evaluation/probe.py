"""Training of heads on features: every tap and every seed side by side, in one pass."""

import dataclasses

import keras
import numpy as np

from keras_pretext.data import draws
from keras_pretext.evaluation import features as frozen
from keras_pretext.registry import unknown_name
from keras_pretext.training.optimizers import CoupledSGD
from keras_pretext.training.trainer import precision


@dataclasses.dataclass
class ProbeResult:
    """What a protocol measured.

    Attributes:
        protocol: its versioned name; results of different names are not comparable.
        taps: per tap `{"last": [...], "best": [...]}`, test accuracy in [0, 1], one a seed.
        settings: epochs, seeds, data and whatever else a reader needs to repeat it.
    """

    protocol: str
    taps: dict
    settings: dict

    def mean(self, tap, epoch="last"):
        return float(np.mean(self.taps[tap][epoch]))

    def std(self, tap, epoch="last"):
        """Standard deviation over the seeds (of the sample; 0 for one seed)."""
        values = self.taps[tap][epoch]
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    def to_dict(self):
        taps = {tap: {**values, "last_mean": self.mean(tap), "last_std": self.std(tap),
                      "best_mean": self.mean(tap, "best"), "best_std": self.std(tap, "best")}
                for tap, values in self.taps.items()}
        return {"protocol": self.protocol, "settings": self.settings, "taps": taps}

    def __str__(self):
        rows = [f"{self.protocol}: accuracy in % of the last epoch (best epoch)"]
        rows += [f"  {tap:10} {100 * self.mean(tap):6.2f} +- {100 * self.std(tap):.2f}"
                 f"   ({100 * self.mean(tap, 'best'):.2f})" for tap in self.taps]
        return "\n".join(rows)


def checked_labels(train, test):
    """Both sources' labels. Raises ValueError where they cannot serve a classifier."""
    train_labels, test_labels = train.labels(), test.labels()
    classes = len(train.class_names)
    if len(train_labels) < classes:
        raise ValueError(f"there are fewer training pictures than the {classes} classes. "
                         f"Received: {len(train_labels)}")
    unseen = sorted(set(test_labels.tolist()) - set(train_labels.tolist()))
    if unseen:
        raise ValueError(f"classes of the test split are missing from the training split. "
                         f"Received: {unseen[:10]}")
    return train_labels, test_labels, classes


def run_probe(protocol, head, model, train, test, taps=None, seeds=(0, 1, 2), epochs=10,
              batch_size=128, learning_rate=0.1, drops=(0.4, 0.8, 0.9), factor=0.2, pooling=None,
              image_size=None, flip=True, indices=None, epoch_size=None, dtype="mixed_bfloat16"):
    """Trains `head(maps_shape, classes, seed, name) -> keras.Model` on every tap and seed.

    Heads share the order of the examples and differ, between seeds, in their first weights.

    Args:
        drops: fractions of the epochs after which the learning rate is multiplied by `factor`.
        flip: also train on the mirrored pictures' features; each epoch takes one view of an
            example at random.
        indices: the training examples to use; all by default.
        epoch_size: examples an epoch draws (cycling `indices`); their number by default.

    Returns:
        ProbeResult.
    """
    train_labels, test_labels, classes = checked_labels(train, test)
    backbone = frozen.backbone_of(model)
    taps = frozen.check_taps(backbone, taps)
    indices = np.arange(train.num_examples) if indices is None else np.asarray(indices)
    options = {"taps": taps, "image_size": image_size, "pooling": pooling}
    views = [frozen.features(model, train, flip=f, **options) for f in ([False, True] if flip
                                                                        else [False])]
    held_out = frozen.features(model, test, **options)
    count = epoch_size or len(indices)
    batch_size = min(batch_size, count)
    steps = count // batch_size
    with precision(dtype):
        inputs = {t: keras.Input(views[0][t].shape[1:], name=t, dtype="float16") for t in taps}
        outputs = {f"{t}_seed{s}": head(inputs[t].shape[1:], classes, s, f"{t}_seed{s}")(inputs[t])
                   for t in taps for s in seeds}
        heads = keras.Model(inputs, outputs)
        rates = [learning_rate * factor**k for k in range(len(drops) + 1)]
        ends = [max(1, round(d * epochs * steps)) for d in drops]
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
        heads.compile(CoupledSGD(schedule, 0.9, nesterov=True, coupled_decay=5e-4),
                      loss={n: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                            for n in outputs}, jit_compile=False)
    accuracy = {n: [] for n in outputs}
    for epoch in range(epochs):
        order = np.concatenate([draws.order(len(indices), 0, epoch * 1000 + k)
                                for k in range(-(-count // len(indices)))])
        view = draws.draws(0, epoch, np.arange(len(order)), 1)[:, 0]
        for step in range(steps):
            part = slice(step * batch_size, (step + 1) * batch_size)
            chosen = indices[order[part]]
            rows = np.argsort(chosen)
            chosen = chosen[rows]
            batch = {t: views[0][t][chosen] for t in taps}
            if flip:
                mirrored = np.flatnonzero(view[part][rows] < 0.5)
                for t in taps:
                    batch[t][mirrored] = views[1][t][chosen[mirrored]]
            labels = train_labels[chosen]
            heads.train_on_batch(batch, {n: labels for n in outputs})
        scores = _accuracy(heads, held_out, test_labels)
        for n in outputs:
            accuracy[n].append(scores[n])
    result = {t: {"last": [accuracy[f"{t}_seed{s}"][-1] for s in seeds],
                  "best": [max(accuracy[f"{t}_seed{s}"]) for s in seeds]} for t in taps}
    return ProbeResult(protocol, result, {
        "epochs": epochs, "seeds": list(seeds), "batch_size": batch_size, "flip": flip,
        "learning_rate": learning_rate, "train": f"{train.name}/{train.split}",
        "test": f"{test.name}/{test.split}", "train_images": len(indices),
        "train_fingerprint": train.fingerprint()[:16], "backbone": backbone.name,
        "weights": frozen.weights_digest(backbone)[:16]})


def _accuracy(heads, held_out, labels, batch=500):
    right = {}
    for start in range(0, len(labels), batch):
        part = {t: np.ascontiguousarray(v[start:start + batch]) for t, v in held_out.items()}
        for n, logits in heads.predict_on_batch(part).items():
            hits = (np.argmax(logits, -1) == labels[start:start + batch]).sum()
            right[n] = right.get(n, 0) + int(hits)
    return {n: hits / len(labels) for n, hits in right.items()}


def fan_out(seed):
    """N(0, sqrt(2 / fan_out)), the initial weights of RotNet's classifiers."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=seed)


def finetune(protocol, head, model, train, test, tap, seeds=(0, 1, 2), epochs=10, batch_size=128,
             learning_rate=0.1, drops=(0.4, 0.8, 0.9), factor=0.2, slower=0.1, image_size=None,
             dtype="mixed_bfloat16"):
    """Trains a head and a copy of the extractor together, the extractor `slower` times as fast.

    Args and result as for `run_probe`, for one tap; pictures are mirrored at random.
    """
    train_labels, test_labels, classes = checked_labels(train, test)
    backbone = frozen.backbone_of(model)
    if tap not in backbone.taps:
        raise ValueError(unknown_name(f"tap of {backbone.name}", tap, backbone.taps))
    size = image_size or frozen.size_for(model, train)
    pictures = np.concatenate(list(frozen._batches(train, size, 500)))
    held_out = np.concatenate(list(frozen._batches(test, size, 500)))
    steps = max(1, len(pictures) // batch_size)
    result = {"last": [], "best": []}
    for seed in seeds:
        with precision(dtype):
            copy = type(backbone).from_config(backbone.get_config())
            copy.set_weights(backbone.get_weights())
            images = keras.Input((size, size, 3))
            maps = copy.extractor(tap)(images)
            whole = keras.Model(images, head(maps.shape[1:], classes, seed, "head")(maps))
            rates = [learning_rate * factor**k for k in range(len(drops) + 1)]
            ends = [max(1, round(d * epochs * steps)) for d in drops]
            optimizer = CoupledSGD(keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates),
                                   0.9, nesterov=True, coupled_decay=5e-4)
            optimizer.slower = {id(v): slower for v in copy.trainable_variables}
            whole.compile(optimizer, loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True), jit_compile=False)
        scores = []
        for epoch in range(epochs):
            order = draws.order(len(pictures), seed, epoch)
            for step in range(steps):
                chosen = order[step * batch_size:(step + 1) * batch_size]
                batch = pictures[chosen]
                mirror = draws.draws(seed, epoch, chosen, 1)[:, 0] < 0.5
                batch[mirror] = batch[mirror][:, :, ::-1]
                whole.train_on_batch(batch, train_labels[chosen])
            hits = sum((np.argmax(whole.predict_on_batch(held_out[k:k + 500]), -1)
                        == test_labels[k:k + 500]).sum() for k in range(0, len(held_out), 500))
            scores.append(float(hits) / len(held_out))
        result["last"].append(scores[-1])
        result["best"].append(max(scores))
    return ProbeResult(f"{protocol}-finetuned", {tap: result}, {
        "epochs": epochs, "seeds": list(seeds), "batch_size": batch_size, "slower": slower,
        "learning_rate": learning_rate, "train": f"{train.name}/{train.split}",
        "test": f"{test.name}/{test.split}", "train_images": len(pictures)})
