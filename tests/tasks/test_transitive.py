import keras
import numpy as np
import pytest
import tensorflow as tf
from mined import written
from tiny_trunk import TRUNK

from keras_pretext import backbones, data, tasks
from keras_pretext.data.draws import draws
from keras_pretext.data.pipeline import pipeline
from keras_pretext.training import Recipe, load_run, train

pytest.importorskip("pyarrow")


def small(**options):
    return tasks.get("transitive", **{"image_size": 16, "hidden": [16], "dim": 8, **options})


@pytest.fixture
def mined(tmp_path, rng):
    """24 tracks of two patches: in parents of four, each patch in the colour of its parent."""
    colors = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255),
                       (0, 255, 255)])
    parent = np.repeat(np.arange(6), 8)
    patches = colors[parent][:, None, None] // 2 + rng.integers(0, 128, (48, 16, 16, 3))
    pairs, kinds = [], []
    for track in range(24):
        pairs.append((2 * track, 2 * track + 1))
        kinds.append("intra")
    for first in range(0, 24, 2):  # tracks first and first + 1 are joined
        a, b = 2 * first, 2 * first + 2
        pairs += [(a, b), (a, b + 1), (a + 1, b), (a + 1, b + 1)]
        kinds += ["inter", "transitive", "transitive", "transitive"]
    return written(tmp_path / "mined", patches.astype("uint8"), np.arange(48) // 2, pairs, kinds,
                   parent[[a for a, _ in pairs]]), patches, pairs, kinds, parent


def test_the_reader_gives_both_patches_and_what_tells_negatives(mined):
    folder, patches, pairs, kinds, parent = mined
    source = data.open(f"pairs:{folder}", split="intra+inter")
    rows = [k for k, kind in enumerate(kinds) if kind in ("intra", "inter")]
    assert source.num_examples == len(rows) == 36 and not source.has_labels
    images, labels = source.arrays()
    for k, row in enumerate(rows):
        a, b = pairs[row]
        np.testing.assert_array_equal(images[k, ..., :3], patches[a])
        np.testing.assert_array_equal(images[k, ..., 3:], patches[b])
        assert labels[k].tolist() == [parent[a], a // 2, b // 2, kinds[row] == "intra"]
        if k % 10 == 0:
            np.testing.assert_array_equal(source.fetch(k)["image"], images[k])
    layer = small(flip=False).layer()
    inputs, truth = next(iter(pipeline(source, layer, 8, 0, shuffle=False)))
    np.testing.assert_array_equal(inputs[:, 0], images[:8, ..., :3])
    np.testing.assert_array_equal(inputs[:, 1], images[:8, ..., 3:])
    np.testing.assert_array_equal(truth, labels[:8])


def test_splits(mined):
    folder, *_ = mined
    counts = {"intra": 24, "inter": 12, "transitive": 36, "inter+transitive": 48,
              "train": 36 + 11}  # two intra pairs for seven transitive ones, rounded up
    for split, count in counts.items():
        source = data.open(f"pairs:{folder}", split=split)
        assert source.num_examples == count
    intra = source.labels()[source.labels()[:, 3] == 1]
    assert len(intra) == 11 and len(set(intra[:, 1])) == 11 and intra[:, 1].max() > 20


def test_each_patch_is_mirrored_on_its_own(rng):
    both = rng.integers(0, 256, (4, 16, 16, 6), dtype=np.uint8)
    numbers = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], "float32") * 0.9
    pairs, _ = small().layer()(tf.constant(both), numbers)
    for k in range(4):
        for side in (0, 1):
            patch = both[k, ..., 3 * side:3 * side + 3]
            expected = patch if numbers[k, side] else patch[:, ::-1]
            np.testing.assert_array_equal(pairs[k, side], expected)


def test_the_papers_network():
    """VGG-16 to pool5, 3x3x512 = 4608 features, then 4096 and 1024."""
    task = tasks.get("transitive")
    model = task.attach(backbones.get("vgg", depth=11))  # the convolutions' depth aside
    assert model.output_shape == (None, 1, 2, 1024)
    head = model.count_params() - model.backbone.count_params()
    assert head == 4608 * 4096 + 4096 + 4096 * 1024 + 1024
    assert task.chance == {"loss": 0.5, "accuracy": 0.5}


def test_two_heads_of_the_ablation_learn_from_their_own_pairs(rng):
    task = small(multi_task=True)
    model = task.attach(backbones.get("network_in_network", blocks=2))
    x = rng.integers(0, 256, (6, 2, 16, 16, 3), dtype=np.uint8)
    assert model(x).shape == (6, 2, 2, 8)
    labels = np.stack([np.arange(6), np.arange(6), 10 + np.arange(6), np.zeros(6)], 1)
    for intra, moved in ((0, "inter"), (1, "intra")):
        labels[:, 3] = intra
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=labels, y_pred=model(x))
        found = {v.path.split("_")[0]: float(tf.reduce_max(abs(g))) for v, g in zip(
            model.trainable_variables, tape.gradient(loss, model.trainable_variables),
            strict=True) if "embedding" in v.path}
        assert {name for name, size in found.items() if size} == {moved}


def test_a_run_learns_that_a_parents_patches_agree(mined, tmp_path):
    keras.utils.set_random_seed(0)
    task, source = small(), data.open(f"pairs:{mined[0]}")
    model = task.attach(backbones.get(*TRUNK[:1]))
    model.compile(keras.optimizers.Adam(0.01), **task.objective())
    model.build_optimizers()
    images, labels = source.arrays()
    pairs, _ = task.layer()(images, draws(0, 0, np.arange(len(images)), task.num_draws))
    for _ in range(40):
        model.reset_metrics()
        logs = model.train_step((pairs, tf.constant(labels, tf.int32)))
    assert logs["accuracy"] > 0.9 and logs["loss"] < 0.25


def test_a_run(mined, tmp_path):
    recipe = Recipe(name="pairs", task=("transitive", small().get_config()), backbone=TRUNK,
                    data=f"pairs:{mined[0]}", split="train", test_split="intra", epochs=1,
                    batch_size=12, weight_decay=0.0)
    row = train(recipe, tmp_path / "run", progress=False)
    assert row["step"] == 3 and np.isfinite(row["test_loss"])
    assert load_run(tmp_path / "run").task == recipe.build_task()


def test_save_and_load_and_preview(rng, tmp_path):
    task = small(hard=True)
    model = task.attach(backbones.get("network_in_network", blocks=2))
    x = rng.integers(0, 256, (2, 2, 16, 16, 3), dtype=np.uint8)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    assert again.task == task and again.task.objective()["loss"].hard
    layer = task.layer()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    row, = task.preview(rng.integers(0, 256, (1, 20, 20, 6), dtype=np.uint8),
                        draws(0, 0, np.arange(1), task.num_draws))
    assert [title for title, _ in row] == ["a patch", "is near to"]


def test_bad_input(mined, tmp_path):
    folder, patches, *_ = mined
    for split, message in (("intro", "Did you mean 'intra'"), ("intra+inte", "'inte'")):
        with pytest.raises(ValueError, match=message):
            data.open(f"pairs:{folder}", split=split)
    with pytest.raises(ValueError, match="without nodes.parquet"):
        data.open(f"pairs:{tmp_path}")
    other = written(tmp_path / "a", patches[:8].astype("uint8"), [0] * 8, [(0, 1)], ["intra"], [0])
    with pytest.raises(ValueError, match="no such pairs.*'intra': 1.*split='inter'"):
        data.open(f"pairs:{other}", split="inter")
    other = written(tmp_path / "b", patches[:8].astype("uint8"), [0] * 9, [(0, 1)], ["intra"], [0])
    with pytest.raises(ValueError, match="8 patches. Received: 9 rows"):
        data.open(f"pairs:{other}", split="intra")
    other = written(tmp_path / "c", patches[:8].astype("uint8"), [0] * 8, [(0, 8)], ["intra"], [0])
    with pytest.raises(ValueError, match="nodes 0 to 7. Received: 0 to 8"):
        data.open(f"pairs:{other}", split="intra")
    with pytest.raises(ValueError, match="learns from pictures. Received.*which has pairs of"):
        pipeline(data.open(f"pairs:{folder}"), tasks.get("rotation").layer(), 2, 0)
    for options, message in (({"dim": 1}, "at least 2. Received: 1"),
                             ({"margin": 0}, "positive. Received: 0"),
                             ({"framing": {"kind": "centre_crop", "size": 17}}, "Received: 17")):
        with pytest.raises(ValueError, match=message):
            small(**options)
