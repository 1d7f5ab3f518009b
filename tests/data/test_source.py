import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import data
from keras_pretext.data.arrays import ArraySource


def test_npz_by_kind_and_by_path(npz):
    source = data.open(npz)
    images, labels = source.arrays()
    assert source.num_examples == 96 and not source.encoded and source.uniform_shape == (32, 32, 3)
    np.testing.assert_array_equal(labels, np.arange(96) % 4)
    found = tf.function(source.fetch)(tf.constant(41, tf.int64))
    np.testing.assert_array_equal(found["image"], images[41])
    assert found["label"] == 1
    assert data.open(f"npz:{npz}").fingerprint() == source.fingerprint()
    assert data.open(source) is source


def test_npz_with_splits_and_grey(tmp_path, rng):
    grey = rng.integers(0, 256, (5, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", train_images=grey, test_images=grey[:2], test_labels=[1, 0])
    assert not data.open(tmp_path / "x.npz").has_labels
    test = data.open(tmp_path / "x.npz", "test")
    np.testing.assert_array_equal(test.arrays()[0], np.repeat(grey[:2, ..., None], 3, -1))
    assert test.labels().tolist() == [1, 0]
    with pytest.raises(ValueError, match="`validation_images`.*Received: .*test_images"):
        data.open(tmp_path / "x.npz", "validation")


@pytest.mark.parametrize("arrays, message", [
    ({"images": np.zeros((3, 8, 8, 3))}, "uint8.*Received: float64"),
    ({"images": np.zeros((3, 8, 8, 4), np.uint8)}, r"Received: uint8 \(3, 8, 8, 4\)"),
    ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "no pictures"),
    ({"images": np.zeros((3, 8, 8, 3), np.uint8), "labels": np.zeros(2, int)}, r"\(3,\).*\(2,\)"),
    ({"images": np.zeros((3, 8, 8, 3), np.uint8), "labels": np.zeros(3)}, "integers.*float64"),
    ({"images": np.array([None, "x"], object)}, "cannot be read"),
    ({"pictures": np.zeros(3)}, r"`images`.*Received: \['pictures'\]"),
])
def test_arrays_that_are_not_pictures(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        data.open(tmp_path / "x.npz")


def test_a_cut_npz_is_one_clear_error(npz):
    npz.write_bytes(npz.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"cut off.*Received: {npz}"):
        data.open(npz)


def test_labels_count_in_the_fingerprint():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    prints = {ArraySource(images).fingerprint(), ArraySource(images, [0, 1]).fingerprint(),
              ArraySource(images, [1, 0]).fingerprint(), ArraySource(images + 1).fingerprint()}
    assert len(prints) == 4


@pytest.mark.parametrize("spec, message", [
    ("fodler:/tmp", "kind of data.*Did you mean 'folder'.*Received: 'fodler'"),
    ("npz:nowhere.npz", "no such .npz"),
    ("./nowhere", "unknown data path.*Received"),
    ("nowhere.npz", "unknown data path.*Received"),
    ("scenes:big", "size is a number.*Received: 'scenes:big'"),
    ("folder", "unknown data set.*Received: 'folder'"),
    ("", "Received: ''"),
])
def test_what_cannot_be_found(spec, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        data.open(spec)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ValueError, match="an .npz or a .tfrecord.*Received"):
        data.open(tmp_path / "x.txt")


def test_arrays_need_no_tensorflow(npz):
    script = (f"import sys; sys.modules['tensorflow'] = None; from keras_pretext import data\n"
              f"s = data.open({str(npz)!r}); print(s.arrays()[0].shape, len(s.fingerprint()))\n"
              f"assert 'keras' not in sys.modules")
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert out.stdout.split() == ["(96,", "32,", "32,", "3)", "64"], out.stderr
