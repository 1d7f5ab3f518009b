"""The embedded scenes: reproducible, and not solved by colour."""

import subprocess
import sys

import numpy as np
import pytest

from keras_pretext.data import scenes


@pytest.fixture(scope="module")
def data():
    return *scenes.load("train", count=3000), *scenes.load("test")


def _accuracy(train, labels, test, test_labels, strength=1.0):
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, std = train.mean(0), train.std(0) + 1e-3
    model = LogisticRegression(C=strength, max_iter=60, tol=1e-3)
    with threadpool_limits(1):  # many small products: threads that wait cost more than they give
        model.fit((train - mean) / std, labels)
        return model.score((test - mean) / std, test_labels)


def _histogram(images):
    levels = images.reshape(len(images), -1, 3) // 64
    bins = levels[..., 0] * 16 + levels[..., 1] * 4 + levels[..., 2]
    return np.sqrt(np.stack([np.bincount(row, minlength=64) for row in bins]) / bins.shape[1])


def _blocks(images, cells):
    side = images.shape[1] // cells
    shape = (len(images), cells, side, cells, side, 3)
    return images.reshape(shape).mean((2, 4)).reshape(len(images), -1)


def _rotated(images):
    turned = np.concatenate([np.rot90(images, k, (1, 2)) for k in range(4)])
    return turned, np.repeat(np.arange(4), len(images))


def test_shapes_types_and_balance(data):
    images, labels, test, test_labels = data
    assert images.shape == (3000, 32, 32, 3) and images.dtype == np.uint8
    assert labels.dtype == np.int64 and test.shape == (1000, 32, 32, 3)
    assert (np.bincount(labels) == 300).all() and (np.bincount(test_labels) == 100).all()
    assert len(scenes.CLASS_NAMES) == 10 and len(set(scenes.CLASS_NAMES)) == 10
    assert (np.bincount(labels[:10]) == 1).all()
    assert (labels[:100] != np.tile(labels[:10], 10)).any()


def test_a_picture_depends_on_seed_split_and_index_alone(data):
    from keras_pretext.data.scenes.render import render

    images, labels = data[:2]
    few, few_labels = render("train", [1999, 3, 700])
    np.testing.assert_array_equal(few, images[[1999, 3, 700]])
    np.testing.assert_array_equal(few_labels, labels[[1999, 3, 700]])
    np.testing.assert_array_equal(scenes.load("train", count=7)[0], images[:7])
    assert (scenes.load("train", count=7, seed=1)[0] != images[:7]).any((1, 2, 3)).all()


def test_same_pictures_in_another_process(data):
    code = ("import sys, zlib; from keras_pretext.data import scenes;"
            "x, y = scenes.load('test', count=50); print(zlib.crc32(x.tobytes() + y.tobytes()))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    import zlib

    assert int(out.stdout) == zlib.crc32(data[2][:50].tobytes() + data[3][:50].tobytes())


def test_drawing_needs_no_tensorflow():
    code = ("import sys; sys.modules['tensorflow'] = None; sys.modules['keras'] = None\n"
            "from keras_pretext.data import scenes; scenes.load('test', count=10)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_splits_share_no_picture(data):
    train = {image.tobytes() for image in data[0]}
    test = {image.tobytes() for image in data[2]}
    assert len(train) == len(data[0]) and len(test) == len(data[2]) and not train & test


def test_a_scene_is_the_same_at_every_size(data):
    for size in (64, 128):
        large, labels = scenes.load("test", size, 50)
        assert large.shape == (50, size, size, 3)
        np.testing.assert_array_equal(labels, data[3][:50])
        shrunk = _blocks(large, 16)
        assert np.abs(shrunk - _blocks(data[2][:50], 16)).mean() < 4


def test_colour_does_not_give_the_class_away(data):
    images, labels, test, test_labels = data
    histogram = _accuracy(_histogram(images), labels, _histogram(test), test_labels)
    mean = _accuracy(_blocks(images, 1), labels, _blocks(test, 1), test_labels)
    pixels = _accuracy(_blocks(images, 4), labels, _blocks(test, 4), test_labels, 0.01)
    assert histogram < 0.40 and mean < 0.25 and pixels < 0.45, (histogram, mean, pixels)
    assert histogram > 0.13  # colours go with classes all the same


def test_which_way_is_up_takes_more_than_blobs(data):
    turned, angle = _rotated(data[0][:1200])
    test, test_angle = _rotated(data[2][:500])
    for cells in (1, 2, 4):
        score = _accuracy(_blocks(turned, cells), angle, _blocks(test, cells), test_angle, 0.01)
        assert score < (0.27 if cells == 1 else 0.6), (cells, score)


def test_bad_arguments():
    with pytest.raises(ValueError, match="Did you mean 'train'.*Received: 'trian'"):
        scenes.load("trian")
    with pytest.raises(ValueError, match="size is an integer.*Received: 32.5"):
        scenes.load("train", size=32.5)
    with pytest.raises(ValueError, match="count is an integer from 0 to 1000.*Received: 1001"):
        scenes.load("test", count=1001)
    assert scenes.load("test", count=0)[0].shape == (0, 32, 32, 3)
    with pytest.raises(AttributeError, match="scene_"):
        scenes.scene_  # noqa: B018


def test_opens_as_a_source(data):
    from keras_pretext.data import open

    source = open("scenes", "test")
    assert source.num_examples == 1000 and source.class_names == scenes.CLASS_NAMES
    assert source.uniform_shape == (32, 32, 3) and source.has_labels
    np.testing.assert_array_equal(source.arrays(30)[0], data[2][:30])
    with pytest.raises(ValueError, match="test, train.*Received: 'validation'"):
        open("scenes", "validation")


def test_builder_prepares_the_same_pictures(tmp_path, data, monkeypatch):
    import tensorflow_datasets as tfds

    from keras_pretext.data.scenes import render

    monkeypatch.setattr(render, "SPLITS", {"train": 40, "test": 20})
    builder = scenes.Scenes(data_dir=tmp_path, config="32")
    builder.download_and_prepare()
    assert builder.info.features["label"].names == list(scenes.CLASS_NAMES)
    assert builder.info.splits["train"].num_examples == 40
    read = tfds.builder_from_directory(builder.data_dir).as_dataset(split="test")
    rows = {row["id"].decode(): row for row in tfds.as_numpy(read)}
    assert len(rows) == 20
    for i in range(20):
        row = rows[f"test_{i:05d}"]
        np.testing.assert_array_equal(row["image"], data[2][i])
        assert row["label"] == data[3][i]
    assert set(scenes.Scenes.builder_configs) == {"32", "64", "128"}
