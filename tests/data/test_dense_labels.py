"""Boxes, masks and depths beside pictures: VOC, COCO, NYU depth and what is like them."""

import numpy as np
import pytest
from test_multi_labels import prepared

from keras_pretext import data
from keras_pretext.data.arrays import ArraySource


@pytest.mark.parametrize("name, splits, classes", [
    ("voc/2007", ("train", "validation", "test"), 20), ("voc/2012", ("train", "validation"), 20),
    ("coco/2017", ("train", "validation"), 80)])
def test_boxes_of_voc_and_coco(tmp_path, name, splits, classes):
    folder = tmp_path / name.split("/")[0]
    examples = prepared(folder / "4.0.0", name, splits, num_examples=3)
    source = data.open(folder, "+".join(splits[:2]))
    assert len(source.object_names) == classes and source.dense == ()
    found = source.objects()
    rows = [row for split in splits[:2] for row in examples[split]]
    assert len(found) == len(rows) == 6
    for ours, row in zip(found, rows, strict=True):
        height, width = row["image"].shape[:2]
        assert ours["size"] == (height, width)
        box = np.float32([0.1, 0.2, 0.8, 0.9]) * [height, width, height, width]
        np.testing.assert_allclose(ours["boxes"], np.tile(box, (len(row["objects"]), 1)),
                                   rtol=1e-5)
        for key, theirs in (("labels", "label"), ("difficult", "is_difficult"),
                            ("crowd", "is_crowd")):
            np.testing.assert_array_equal(
                ours[key], [thing.get(theirs, False) for thing in row["objects"]])


def test_depth_of_nyu(tmp_path):
    examples = prepared(tmp_path / "nyu_depth_v2" / "0.0.1", "nyu_depth_v2",
                        ("train", "validation"), num_examples=2)
    source = data.open(tmp_path / "nyu_depth_v2", "validation")
    assert source.dense == ("depth",) and source.object_names is None
    for k, row in enumerate(examples["validation"]):
        depth = source.pixels("depth", k)
        assert depth.dtype == np.float32 and depth.shape == (480, 640) == source.size(k)
        np.testing.assert_array_equal(depth, row["depth"])


def test_masks_of_camvid(real_data):
    source = data.open(real_data / "tfds" / "camvid", "test")
    assert source.dense == ("mask",) and source.num_examples == 233
    mask = source.pixels("mask", 5)
    assert mask.shape == (360, 480) == source.size(5) and set(np.unique(mask)) <= set(range(12))
    with pytest.raises(ValueError, match="no depth of its pictures.*'camvid', which has mask"):
        source.pixels("depth", 0)
    with pytest.raises(ValueError, match="has no boxes.*Received: 'camvid'"):
        source.objects()


def test_boxes_of_the_raccoons_and_kangaroos(real_data):
    source = data.open(real_data / "tfds" / "raccoon_kangaroo", "test")
    found = source.objects()
    assert len(found) == 107 and source.object_names == ("kangaroo", "raccoon")
    for row in found:
        assert (row["boxes"][:, 2:] <= row["size"]).all() and (row["boxes"] >= 0).all()
    np.testing.assert_array_equal([(row["labels"] == 0).any() for row in found],
                                  source.multi_labels()[:, 0] != 0)


def test_boxes_outside_the_picture(real_data, monkeypatch):
    source = data.open(real_data / "tfds" / "raccoon_kangaroo", "test")
    features = source._features

    def wrong(k):
        found = features(k)
        found["objects/bbox"].float_list.value[2] = 1.7
        return found

    monkeypatch.setattr(source, "_features", wrong)
    with pytest.raises(ValueError, match="lie in their picture.*1.7.*tfrecord-.* at byte 0"):
        source.objects()


def test_npz_with_what_is_known_of_pixels(tmp_path):
    images = np.zeros((2, 4, 6, 3), np.uint8)
    mask, normals = np.ones((2, 4, 6), np.uint8), np.zeros((2, 4, 6, 3), np.float32)
    np.savez(tmp_path / "x.npz", test_images=images, test_mask=mask, test_normals=normals)
    source = data.open(tmp_path / "x.npz", "test")
    assert set(source.dense) == {"mask", "normals"} and source.size(1) == (4, 6)
    np.testing.assert_array_equal(source.pixels("mask", 1), mask[1])
    assert source.fingerprint() != ArraySource(images).fingerprint()
    with pytest.raises(ValueError, match="no depth"):
        source.pixels("depth", 0)
    with pytest.raises(ValueError, match=r"floats for each pixel.*\(2, 4, 6, 3\). Received: int"):
        ArraySource(images, dense={"normals": normals.astype(int)})
    with pytest.raises(ValueError, match="Did you mean 'normals'"):
        ArraySource(images, dense={"normal": normals})
