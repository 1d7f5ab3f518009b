import csv
import os
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pretext import data
from keras_pretext.data.image_folder import ImageFolder


def save(path, value=100, size=(20, 16), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)
    return path


@pytest.fixture
def classes(tmp_path):
    """Two classes at two depths: cat of value 50, dog of value 150."""
    for k in range(3):
        save(tmp_path / "cat" / f"{k}.png", (50, 50, 50))
        save(tmp_path / "dog" / "deep" / f"{k}.jpg", (150, 150, 150))
    save(tmp_path / ".hidden" / "x.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_first_level_folders_are_classes(classes):
    source = data.open(classes)
    assert source.class_names == ("cat", "dog") and source.num_examples == 6
    assert source.labels().tolist() == [0, 0, 0, 1, 1, 1]
    assert source.uniform_shape == (16, 20, 3) and source.encoded
    fetch = tf.function(source.fetch)
    images, labels = source.arrays()
    for k in range(6):
        found = fetch(tf.constant(k, tf.int64))
        np.testing.assert_array_equal(
            tf.io.decode_image(found["image"], channels=3, expand_animations=False), images[k])
        assert found["label"] == labels[k] == k // 3 and abs(images[k, 0, 0, 0] - 50 - 100 *
                                                             (k // 3)) <= 2


def test_pictures_beside_the_folders_take_the_labels_away(classes):
    save(classes / "stray.png")
    source = data.open(f"folder:{classes}")
    assert not source.has_labels and source.num_examples == 7
    with pytest.raises(ValueError, match="no labels.*Received"):
        source.labels()


def test_splits(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            for k in range(count):
                save(tmp_path / split / name / f"{k}.png")
    assert data.open(tmp_path).num_examples == 6
    assert data.open(tmp_path, "test").labels().tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="Known: test, train. Received: 'validation'"):
        data.open(tmp_path, "validation")


def test_splits_of_other_names_are_no_classes(tmp_path):
    for split in ("train", "eval"):
        for name in ("a", "b"):
            save(tmp_path / split / name / "0.png")
    assert data.open(tmp_path, "train").class_names == ("a", "b")
    assert data.open(tmp_path, "train").num_examples == 2


def test_names_that_are_no_utf_8(tmp_path):
    save(tmp_path / "a.jpg")
    name = os.path.join(os.fsencode(tmp_path), b"4 \xe9.jpg")
    os.rename(tmp_path / "a.jpg", name)
    source = data.open(tmp_path)
    assert source.fetch(0)["image"].numpy() == open(name, "rb").read()
    assert len(source.fingerprint()) == 64
    found = tf.data.Dataset.range(1).map(source.fetch)  # in a graph
    assert [e["image"].numpy() for e in found] == [open(name, "rb").read()]


def test_a_graph_is_made_without_a_word_of_autograph(classes, monkeypatch, caplog):
    known = os.fsencode
    monkeypatch.setattr(os, "fsencode", types.FunctionType(  # it speaks once of each function
        known.__code__, known.__globals__, closure=known.__closure__))
    tf.data.Dataset.range(6).map(data.open(classes).fetch)
    assert "AutoGraph" not in caplog.text


def test_splits_in_capitals_are_splits(tmp_path):
    for split in ("Train", "Test"):
        save(tmp_path / split / "a" / f"{split}.png")
    for asked, found in (("train", "Train"), ("test", "Test"), ("Test", "Test")):
        source = data.open(tmp_path, asked)
        assert [os.path.basename(p) for p in source.paths] == [f"{found}.png"]
    with pytest.raises(ValueError, match="Known: Test, Train. Received: 'validation'"):
        data.open(tmp_path, "validation")
    save(tmp_path / "train" / "a" / "small.png")
    for asked, found in (("train", "small"), ("Train", "Train"), ("TEST", "Test")):
        assert [os.path.basename(p) for p in data.open(tmp_path, asked).paths] == [f"{found}.png"]


def test_links_are_followed_but_not_in_circles(tmp_path, monkeypatch):
    save(tmp_path / "set" / "a" / "0.png")
    save(tmp_path / "elsewhere" / "b" / "1.png")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere" / "b")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "a" / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "set" / "a" / "self.png").symlink_to(tmp_path / "set" / "a" / "self.png")
    (tmp_path / "set" / "a" / "to_c").symlink_to(tmp_path / "set" / "c")  # no second time
    save(tmp_path / "set" / "c" / "2.png")
    source = data.open(tmp_path / "set")
    assert source.class_names == ("a", "b", "c")
    assert [os.path.relpath(p, tmp_path / "set") for p in source.paths] == [
        "a/0.png", "b/1.png", "c/2.png"]
    walked = []
    monkeypatch.setattr(os, "scandir", lambda place, known=os.scandir: (
        walked.append(str(place)), known(place))[1])
    assert ImageFolder(tmp_path / "set", links=False).class_names == ("a", "c")
    assert len(walked) == 3  # not even looked into


def test_train_may_be_a_class(tmp_path):
    for name in ("bus", "train"):
        save(tmp_path / name / "0.png")
    assert data.open(tmp_path).class_names == ("bus", "train")


def test_odd_pictures_as_pillow_shows_them(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.jpg", (9, 9, 9), exif=exif)
    save(tmp_path / "b.jpg", (0, 255, 255, 0), mode="CMYK")
    save(tmp_path / "c.png", 3, mode="P")
    save(tmp_path / "d.png", (255, 0, 0, 0), mode="RGBA")
    save(tmp_path / "e.webp", (7, 8, 9), lossless=True)
    save(tmp_path / "f.tif", 300 * 200, mode="I;16")
    save(tmp_path / "g.png", 77, mode="L")
    save(tmp_path / "h.JPEG", (80, 81, 82))  # a PNG under a wrong name
    Image.new("RGB", (20, 16), (80, 81, 82)).save(tmp_path / "h.JPEG", "PNG")
    source = data.open(tmp_path)
    assert source.num_examples == 8 and not source.skipped and source.uniform_shape is None
    seen = [tf.io.decode_image(source.fetch(k)["image"], channels=3, expand_animations=False)
            .numpy() for k in range(8)]
    assert seen[0].shape == (20, 16, 3) and seen[1].shape == (16, 20, 3)
    expected = [(9, 9, 9), (255, 0, 0), None, (255, 255, 255), (7, 8, 9),
                (233, 233, 233), (77, 77, 77), (80, 81, 82)]
    for picture, value in zip(seen, expected, strict=True):
        if value is not None:
            assert abs(picture.reshape(-1, 3).astype(int) - value).max() <= 3
    palette = np.asarray(Image.open(tmp_path / "c.png").convert("RGB"))
    np.testing.assert_array_equal(seen[2], palette)


def spoil(folder):
    (folder / "cut.jpg").write_bytes(save(folder / "cut.jpg", size=(64, 64)).read_bytes()[:-200])
    (folder / "html.jpg").write_text("<html>not found</html>")
    (folder / "zero.png").write_bytes(b"")
    save(folder / "dot.gif", 0, (1, 1), "P")
    png = save(folder / "zz.png", size=(64, 64)).read_bytes()
    (folder / "zz.png").write_bytes(png[:-30])
    return {"cut.jpg", "html.jpg", "zero.png", "dot.gif", "zz.png"}


def test_corrupt_pictures_are_counted_and_listed(tmp_path):
    for k in range(5):
        save(tmp_path / f"{k}.png", k)
    bad = spoil(tmp_path)
    source = ImageFolder(tmp_path, threshold=0.6)
    assert source.num_examples == 5
    assert {path.rsplit("/", 1)[1] for path, _ in source.skipped} == bad
    source.write_skipped(tmp_path / "skipped.csv")
    rows = list(csv.reader((tmp_path / "skipped.csv").open()))
    assert rows[0] == ["path", "reason"] and len(rows) == 6 and all(reason for _, reason in rows)
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(ValueError, match="5 of 10 pictures.*more than 1%") as error:
        data.open(tmp_path)
    assert all(name in str(error.value) for name in bad) and "Received" in str(error.value)


def test_one_in_a_hundred_is_allowed(tmp_path):
    for k in range(99):
        save(tmp_path / f"{k}.png", size=(8, 8))
    (tmp_path / "bad.png").write_bytes(b"bad")
    assert data.open(tmp_path).num_examples == 99
    (tmp_path / "0.png").unlink()
    with pytest.raises(ValueError, match="1 of 99"):
        data.open(tmp_path)


def test_no_pictures_and_no_folder(tmp_path):
    with pytest.raises(ValueError, match="no pictures.*Received"):
        data.open(f"folder:{tmp_path}")
    with pytest.raises(ValueError, match="no such folder"):
        data.open(f"folder:{tmp_path}/nowhere")
    with pytest.raises(ValueError, match="folder:PATH"):
        data.open("folder:")
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(ValueError, match="none of the 1 pictures"):
        ImageFolder(tmp_path, threshold=1.0)


def test_a_picture_that_breaks_later_is_named(tmp_path):
    path = save(tmp_path / "0.png")
    source = data.open(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(tf.errors.InvalidArgumentError, match=str(path)):
        tf.function(source.fetch)(tf.constant(0, tf.int64))


def test_arrays_are_what_fetch_gives_with_and_without_tensorflow(tmp_path, rng, monkeypatch):
    for k in range(2):
        noise = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(noise).save(tmp_path / f"{k}.jpg")
    source = data.open(tmp_path)
    images, labels = source.arrays()
    assert labels is None
    for k in range(2):
        np.testing.assert_array_equal(images[k], tf.io.decode_jpeg(source.fetch(k)["image"]))
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    assert abs(source.arrays(1)[0].astype(int) - images[:1]).mean() < 2


def test_the_fingerprint_follows_names_and_bytes(classes):
    first = data.open(classes).fingerprint()
    assert data.open(classes).fingerprint() == first
    save(classes / "cat" / "0.png", (51, 50, 50))
    second = data.open(classes).fingerprint()
    (classes / "cat" / "0.png").rename(classes / "cat" / "00.png")
    assert len({first, second, data.open(classes).fingerprint()}) == 3


def test_the_fingerprint_follows_the_bytes_of_pictures_whose_size_does_not(tmp_path):
    """In the middle of more pictures than those whose ends are read."""
    for k in range(200):
        save(tmp_path / f"{k:03d}.bmp", (k, 0, 0))
    first = data.open(tmp_path).fingerprint()
    size = (tmp_path / "100.bmp").stat().st_size
    assert save(tmp_path / "100.bmp", (0, 0, 100)).stat().st_size == size
    assert data.open(tmp_path).fingerprint() != first
