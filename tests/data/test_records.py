import io
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pretext import data
from keras_pretext.data import records
from keras_pretext.image.framing import CentreCrop


def png(value, size=(16, 16), mode="RGB"):
    out = io.BytesIO()
    Image.new(mode, size, value).save(out, "PNG")
    return out.getvalue()


def example(image, label=None, image_key="image", label_key="label"):
    feature = {image_key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
    if label is not None:
        feature[label_key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path, serialized):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
            writer.write(record)
    return path


@pytest.fixture
def shards(tmp_path):
    """Three shards, the middle one empty; picture k is of value k and class k mod 3."""
    for shard, span in enumerate([range(0, 7), range(0), range(7, 12)]):
        write(tmp_path / f"a.tfrecord-{shard}", [example(png((k, 0, 0)), k % 3) for k in span])
    return tmp_path


@pytest.fixture(params=[True, False], ids=["in memory", "on disk"])
def held(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(records, "MEMORY", 0)
    return request.param


def test_the_index_finds_what_tensorflow_reads(shards):
    path = shards / "a.tfrecord-0"
    offsets, lengths = records.scan(path)
    whole = path.read_bytes()
    mine = [whole[o:o + n] for o, n in zip(offsets, lengths, strict=True)]
    assert mine == [r.numpy() for r in tf.data.TFRecordDataset(str(path))]


def test_random_access_labels_and_arrays(shards, held):
    source = data.open(f"tfrecord:{shards}/*.tfrecord-*")
    assert source.num_examples == 12 and source.encoded and source.class_names == ("0", "1", "2")
    assert (source._images is not None) is held
    np.testing.assert_array_equal(source.labels(), np.arange(12) % 3)
    fetch = tf.function(source.fetch)
    for k in (11, 0, 7, 6):
        found = fetch(tf.constant(k, tf.int64))
        assert tf.io.decode_png(found["image"])[0, 0, 0] == k and found["label"] == k % 3
    if held:
        images, labels = source.arrays(9)
        assert images.shape == (9, 16, 16, 3) and source.uniform_shape == (16, 16, 3)
        np.testing.assert_array_equal(images[:, 3, 3, 0], np.arange(9))
        np.testing.assert_array_equal(labels, np.arange(9) % 3)


def test_other_names_of_the_features_and_no_labels(tmp_path, held):
    write(tmp_path / "x.tfrecord", [example(png(9, mode="L"), 4, "image/encoded",
                                            "image/class/label")])
    assert data.open(tmp_path / "x.tfrecord").labels().tolist() == [4]
    write(tmp_path / "y.tfrecord", [example(png(9, mode="L"))])
    source = data.open(tmp_path / "y.tfrecord")
    assert not source.has_labels and source.fetch(0)["label"] == -1
    with pytest.raises(ValueError, match="no labels.*Received.*y.tfrecord"):
        source.labels()
    write(tmp_path / "z.tfrecord", [example(png(9), 1, "photo")])
    with pytest.raises(ValueError, match=r"Received: \['label', 'photo'\] in .*z.tfrecord"):
        data.open(tmp_path / "z.tfrecord")


def test_odd_pictures_in_records_become_plain(tmp_path, held):
    write(tmp_path / "x.tfrecord", [example(png((200, 10, 10, 0), mode="RGBA"))])
    image = data.open(tmp_path / "x.tfrecord").fetch(0)["image"]
    np.testing.assert_array_equal(tf.io.decode_png(image), np.full((16, 16, 3), 255))


@pytest.mark.parametrize("kept", [-1, -40, 5])
def test_a_truncated_file_is_named_with_the_byte(tmp_path, kept):
    path = write(tmp_path / "x.tfrecord", [example(png((k, 0, 0))) for k in range(4)])
    offsets, lengths = records.scan(path)
    start = 0 if kept > 0 else int(offsets[-1]) - 12
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"truncated.*at byte {start} .*Received: {path}"):
        data.open(path)


def test_what_is_no_tfrecord_or_empty(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(os.urandom(500))
    with pytest.raises(ValueError, match="not a TFRecord"):
        data.open(tmp_path / "a.tfrecord")
    (tmp_path / "b.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match="no records. Received"):
        data.open(tmp_path / "b.tfrecord")
    with pytest.raises(ValueError, match="no TFRecord file matches"):
        data.open(f"tfrecord:{tmp_path}/nothing*")


def test_few_corrupt_records_are_left_out_and_listed(tmp_path):
    good = [example(png((k, 0, 0)), k) for k in range(200)]
    good[50:50] = [example(b"no picture", 0)]
    good[0:0] = [b"\xff" * 30]  # not even an Example
    path = write(tmp_path / "x.tfrecord", good)
    source = data.open(path)
    np.testing.assert_array_equal(source.labels(), np.arange(200))
    offsets, _ = records.scan(path)
    assert [place for place, _ in source.skipped] == [
        f"{path} at byte {offsets[0] - 12}", f"{path} at byte {offsets[51] - 12}"]
    source.write_skipped(tmp_path / "skipped.csv")
    assert (tmp_path / "skipped.csv").read_text().splitlines()[0] == "path,reason"
    write(path, good[:60])
    with pytest.raises(ValueError, match=r"2 of 60 .* more than 1%") as error:
        data.open(path)
    assert "cannot be parsed" in str(error.value) and "no known format" in str(error.value)


def test_a_corrupt_record_found_late_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MEMORY", 0)
    path = write(tmp_path / "x.tfrecord", [example(png(1)), example(b"no picture")])
    place = records.scan(path)[0][1] - 12
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"corrupt.*{path} at byte {place}"):
        tf.function(data.open(path).fetch)(tf.constant(1, tf.int64))

    source = records.RecordSource([path], "x", uniform_shape=(16, 16, 3))
    with pytest.raises(ValueError, match=f"Received: {path} at byte {place}"):
        source.arrays()
    assert source.arrays(1)[0].shape == (1, 16, 16, 3)


def test_split_names_in_the_files_of_a_folder(tmp_path):
    write(tmp_path / "x-train.tfrecord-00000-of-00001", [example(png(1))] * 3)
    write(tmp_path / "x-test.tfrecord-00000-of-00001", [example(png(1))] * 2)
    assert data.open(tmp_path).num_examples == 3
    assert data.open(f"tfrecord:{tmp_path}", "test").num_examples == 2
    with pytest.raises(ValueError, match="Known: test, train. Received: 'validation'"):
        data.open(tmp_path, "validation")


def test_the_fingerprint_is_of_the_content(tmp_path):
    one = data.open(write(tmp_path / "x.tfrecord", [example(png((1, 2, 3)))])).fingerprint()
    (tmp_path / "copy").mkdir()
    copy = write(tmp_path / "copy" / "x.tfrecord", [example(png((1, 2, 3)))])
    other = write(tmp_path / "x.tfrecord", [example(png((1, 2, 4)))])
    assert len(one) == 64 and data.open(copy).fingerprint() == one
    assert data.open(other).fingerprint() != one


# Prepared TFDS folders


def test_cifar10_is_read_as_tfds_reads_it(real_data):
    import tensorflow_datasets as tfds

    source = data.open("cifar10_jpeg", "test")
    assert source.num_examples == 10000 and source.uniform_shape == (32, 32, 3)
    assert source.class_names[:3] == ("airplane", "automobile", "bird") and not source.skipped
    images, labels = source.arrays(200)
    stream = tfds.builder_from_directory(real_data / "tfds/cifar10_jpeg/1.0.0").as_dataset(
        split="test").take(200)
    for image, label, theirs in zip(images, labels, stream, strict=True):
        np.testing.assert_array_equal(image, theirs["image"])
        assert label == theirs["label"].numpy()
    np.testing.assert_array_equal(np.bincount(source.labels()), [1000] * 10)


def test_pictures_of_any_size(real_data):
    source = data.open("tfds:imagenet_sample")
    assert source.num_examples == 900 and source.uniform_shape is None
    fused = tf.function(lambda k: records_framed(source, k))
    assert fused(tf.constant(17, tf.int64)).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="differ in size"):
        source.arrays()


def records_framed(source, index):
    from keras_pretext.data.decode import decode_framed

    return decode_framed(source.fetch(index)["image"], CentreCrop(64), tf.zeros(0))


def test_a_shard_that_lost_records_is_named(real_data, tmp_path):
    import shutil

    folder = shutil.copytree(real_data / "tfds" / "raccoon_kangaroo", tmp_path / "set")
    shard = next(iter(sorted(folder.rglob("*-train.tfrecord-*"))))
    offsets, _ = records.scan(shard)
    os.truncate(shard, offsets[-1] - 12)  # on the border of a record
    with pytest.raises(ValueError, match=rf"holds {len(offsets) - 1} records and .* says "
                                         rf"{len(offsets)}\. .*Received: .*train"):
        data.open(folder)


def test_a_path_a_version_and_an_unknown_split(real_data):
    folder = real_data / "tfds" / "camvid"
    for spec in (folder, folder / "1.0.0", "camvid:1.0.0"):
        source = data.open(spec, "validation")
        assert source.num_examples == 101 and not source.has_labels
        assert source.uniform_shape == (360, 480, 3)
    with pytest.raises(ValueError, match="Did you mean 'test'.*Received: 'tests'"):
        data.open("camvid", "tests")


def test_an_unknown_name_says_where_it_looked(real_data, monkeypatch):
    with pytest.raises(ValueError, match="Did you mean 'cifar10_jpeg'.*'cifar10_jpg'") as e:
        data.open("cifar10_jpg")
    assert str(real_data / "tfds") in str(e.value) and "tensorflow_datasets" in str(e.value)
    import socket

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ValueError, match="unknown data set"):
        data.open("tfds:cifar10")
    assert data.open("tfds:camvid", "test").num_examples == 233


def test_the_newest_version_is_by_number(tmp_path):
    from keras_pretext.data.tfds_source import prepared

    for version in ("9.0.0", "10.0.0", "2.1.0"):
        (tmp_path / "set" / version).mkdir(parents=True)
        (tmp_path / "set" / version / "dataset_info.json").write_text("{}")
    assert prepared(tmp_path / "set").name == "10.0.0"
