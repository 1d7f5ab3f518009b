"""The scenes' promise: a RotNet trained on them beats a random network by a wide margin."""

import pathlib

import keras
import numpy as np
import pytest

from keras_pretext import data
from keras_pretext.training import load_recipe, load_run, train

ROOT = pathlib.Path(__file__).resolve().parents[2]


def knn(backbone, tap, train_split, test_split, k=10):
    """Accuracy of k nearest neighbours by cosine on pooled features, in NumPy."""
    extract = backbone.extractor(tap, pooling="avg")

    def features(source):
        images, labels = source.arrays()
        x = np.concatenate([np.asarray(extract(images[s:s + 250]), np.float64)
                            for s in range(0, len(images), 250)])
        return x, np.asarray(labels)

    (a, labels), (b, truth) = features(train_split), features(test_split)
    mean, std = a.mean(0), a.std(0) + 1e-6
    a, b = (a - mean) / std, (b - mean) / std
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    near = labels[np.argsort(-(b @ a.T), axis=1)[:, :k]]
    votes = (near[..., None] == np.arange(10)).sum(1)
    return (votes.argmax(1) == truth).mean()


@pytest.mark.slow
def test_a_trained_rotnet_beats_a_random_network_by_a_wide_margin(tmp_path):
    recipe = load_recipe(ROOT / "recipes" / "smoke" / "rotnet_nin_scenes.py")
    row = train(recipe, tmp_path, progress=False)
    assert row["test_accuracy"] > 0.6
    trained = load_run(tmp_path).backbone
    keras.utils.set_random_seed(1)
    random = type(trained).from_config(trained.get_config())
    splits = data.open("scenes", "train"), data.open("scenes", "test")
    ours, theirs = (knn(backbone, "block2", *splits) for backbone in (trained, random))
    print(f"k-NN on block2: RotNet {ours:.3f}, random {theirs:.3f}")
    assert ours > theirs + 0.15
