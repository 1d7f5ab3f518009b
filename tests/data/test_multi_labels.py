"""Pictures that show several classes: PASCAL VOC and what is like it."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_pretext import data
from keras_pretext.data.arrays import ArraySource


def _plain(row):
    """The mock draws every list's length anew, and boxes that are none: mended."""
    if "objects" not in row:
        return row
    columns = row["objects"]
    columns["bbox"] = np.tile(np.float32([0.1, 0.2, 0.8, 0.9]), (len(columns["bbox"]), 1))
    count = min(len(column) for column in columns.values())
    return {**row, "objects": [{name: column[k] for name, column in columns.items()}
                               for k in range(count)]}


def prepared(folder, name, splits, num_examples=7):
    """A prepared TFDS folder from the mocked data set; also its examples by split."""
    import tensorflow_datasets as tfds

    examples = {}
    with tfds.testing.mock_data(num_examples=num_examples):
        builder = tfds.builder(name)
        features = builder.info.features
        for split in splits:
            examples[split] = [_plain(row) for row in builder.as_dataset(
                split=split).as_numpy_iterator()]
    folder.mkdir(parents=True)
    infos = []
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    for split, rows in examples.items():
        path = folder / f"{folder.parent.name}-{split}.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in rows:
                writer.write(features.serialize_example(features.encode_example(row)))
        infos.append(tfds.core.SplitInfo(
            name=split, shard_lengths=[len(rows)], num_bytes=path.stat().st_size,
            filename_template=tfds.core.ShardedFileTemplate(
                template=template, data_dir=folder, dataset_name=folder.parent.name, split=split,
                filetype_suffix="tfrecord")))
    tfds.folder_dataset.write_metadata(data_dir=str(folder), features=features,
                                       split_infos=infos, filename_template=template)
    return examples


def expected(row, classes):
    """1 for a class with a clear object, -1 for one with difficult objects only."""
    answer = np.zeros(classes, int)
    for thing in row["objects"]:
        if not thing["is_difficult"]:
            answer[thing["label"]] = 1
        elif answer[thing["label"]] == 0:
            answer[thing["label"]] = -1
    return answer


def test_of_several_labels_the_usual_one_is_taken(tmp_path):
    """TFDS gives the features of a folder in an order that differs from process to process."""
    prepared(tmp_path / "cifar" / "3.0.2", "cifar100", ("train",), 3)
    assert len(data.open(tmp_path / "cifar").class_names) == 100  # and not 20, of coarse labels


def test_one_of_several_configs_is_named(tmp_path):
    prepared(tmp_path / "set" / "4.0.0", "voc/2007", ("train",), 2)
    for config in ("2007", "2012"):
        shutil.copytree(tmp_path / "set", tmp_path / "voc" / config)
    with pytest.raises(ValueError, match="several configs; name one: voc/2007, voc/2012"):
        data.open(f"tfds:{tmp_path / 'voc'}")
    assert data.open(tmp_path / "voc" / "2007").num_examples == 2


def test_voc_2007_with_its_official_splits(tmp_path):
    examples = prepared(tmp_path / "voc" / "4.0.0", "voc/2007", ("train", "validation", "test"))
    source = data.open(tmp_path / "voc", "train+validation")
    assert source.num_examples == 14 and len(source.multi_label_names) == 20
    assert source.multi_label_names[:2] == ("aeroplane", "bicycle") and not source.has_labels
    rows = examples["train"] + examples["validation"]
    labels = source.multi_labels()
    assert labels.dtype == np.int8 and labels.shape == (14, 20)
    np.testing.assert_array_equal(labels, [expected(row, 20) for row in rows])
    assert {-1, 0, 1} == set(labels.ravel().tolist())
    test = data.open(tmp_path / "voc", "test")
    np.testing.assert_array_equal(test.multi_labels(),
                                  [expected(row, 20) for row in examples["test"]])
    with pytest.raises(ValueError, match="Did you mean 'validation'.*Received: 'validatoin'"):
        data.open(tmp_path / "voc", "train+validatoin")
    with pytest.raises(ValueError, match="once. Received: 'train\\+train'"):
        data.open(tmp_path / "voc", "train+train")


def test_the_raccoons_and_kangaroos(real_data):
    source = data.open(real_data / "tfds" / "raccoon_kangaroo", "test")
    labels = source.multi_labels()
    assert labels.shape == (107, 2) and set(np.unique(labels)) <= {-1, 0, 1}
    assert (labels > 0).any(1).all() and source.multi_label_names == ("kangaroo", "raccoon")


def test_arrays_with_several_classes(tmp_path):
    images = np.zeros((3, 8, 8, 3), np.uint8)
    labels = [[1, 0], [0, -1], [1, 1]]
    source = ArraySource(images, multi_labels=labels, class_names=["cat", "dog"])
    assert source.multi_label_names == ("cat", "dog") and not source.has_labels
    np.testing.assert_array_equal(source.multi_labels(), labels)
    np.savez(tmp_path / "x.npz", test_images=images, test_multi_labels=labels)
    again = data.open(tmp_path / "x.npz", "test")
    np.testing.assert_array_equal(again.multi_labels(), labels)
    assert again.multi_label_names == ("0", "1")
    other = ArraySource(images, multi_labels=[[1, 0], [0, 1], [1, 1]])
    assert other.fingerprint() != source.fingerprint()


@pytest.mark.parametrize("labels", [[[1, 0]], [1, 0, 1], [[2, 0], [0, 1], [1, 1]]])
def test_multi_labels_that_are_none(labels):
    with pytest.raises(ValueError, match=r"\(3, classes\) of 1 present, 0 absent.*Received"):
        ArraySource(np.zeros((3, 8, 8, 3), np.uint8), multi_labels=labels)


def test_a_source_without_them_says_so(tmp_path):
    source = ArraySource(np.zeros((3, 8, 8, 3), np.uint8), [0, 1, 0], name="plain")
    assert source.multi_label_names is None
    with pytest.raises(ValueError, match="which classes each picture shows.*Received: 'plain'"):
        source.multi_labels()
