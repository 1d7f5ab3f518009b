import errno
import os
import shutil
import sys

import keras
import numpy as np
import pytest

from keras_pretext import evaluation
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.pooling import pooled_size

module = sys.modules["keras_pretext.evaluation.features"]


def expected(backbone, images, tap):
    out = backbone(images, training=False)[tap]
    return keras.ops.convert_to_numpy(out).astype("float16")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_features_are_the_taps_in_evaluation_mode(backbone, train):
    images, _ = train.arrays()
    out = evaluation.features(backbone, train, batch_size=50)  # 120: the last batch is smaller
    assert list(out) == ["low", "high"]
    for tap, values in out.items():
        assert values.dtype == np.float16 and isinstance(values, np.memmap)
        np.testing.assert_allclose(values, expected(backbone, images, tap), rtol=2e-3, atol=2e-3)
    training = keras.ops.convert_to_numpy(backbone(images, training=True)["high"])
    assert np.abs(np.asarray(out["high"], np.float32) - training).max() > 0.05


def test_flip_is_the_feature_of_the_mirrored_picture(backbone, train):
    images, _ = train.arrays()
    out = evaluation.features(backbone, train, "high", flip=True)["high"]
    np.testing.assert_allclose(out, expected(backbone, images[:, :, ::-1], "high"), atol=2e-3)
    assert not np.array_equal(out, evaluation.features(backbone, train, "high")["high"])


def test_random_views_are_shifted_and_mirrored_pictures(backbone, train):
    """8 pixels: shifts of one pixel at most, black comes in."""
    images, _ = train.arrays()
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    size, counts = images.shape[1], {}
    whole = module.seen(images, "crop 0", 0)
    for image, view in zip(padded, whole, strict=True):
        found = [(y, x, mirrored) for y in range(3) for x in range(3) for mirrored in (False, True)
                 if np.array_equal(view, image[y:y + size, x:x + size][:, ::-1 if mirrored else 1])]
        assert len(found) == 1
        counts[found[0]] = counts.get(found[0], 0) + 1
    assert len(counts) == 18 and max(counts.values()) < 20  # of 120 pictures, 6.7 each
    parts = [module.seen(images[k:k + 50], "crop 0", k) for k in (0, 50, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(module.seen(images, "crop 1", 0), whole)
    plain, crop = module.feature_views(backbone, train, (False,), "high", batch_size=50, crops=1)
    np.testing.assert_allclose(crop["high"], expected(backbone, whole, "high"), atol=2e-3)
    assert not np.array_equal(plain["high"], crop["high"])
    both = module.feature_views(backbone, train, (), "high", crops=2)
    np.testing.assert_array_equal(both[0]["high"], crop["high"])
    assert not np.array_equal(both[1]["high"], crop["high"])


def test_average_and_adaptive_pooling(backbone, train):
    images, _ = train.arrays()
    maps = keras.ops.convert_to_numpy(backbone(images, training=False)["high"])
    out = evaluation.features(backbone, train, "high", pooling="avg")["high"]
    np.testing.assert_allclose(out, maps.mean((1, 2)), atol=2e-3)
    wide = pooled_size(64, 4)
    big = ArraySource(np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype("uint8"))
    out = evaluation.features(backbone, big, "low", pooling="adaptive")["low"]
    assert wide == 48 and out.shape == (3, 48, 48, 4)


def test_all_taps_and_views_take_one_pass_and_the_second_time_none(backbone, train, monkeypatch):
    passes, true = [], module.batches
    monkeypatch.setattr(module, "batches", lambda *a: passes.append(1) or true(*a))
    first = module.feature_views(backbone, train)
    assert len(first) == 2 and len(passes) == 1
    again = evaluation.features(backbone, train, "high", flip=True)
    assert len(passes) == 1
    np.testing.assert_array_equal(again["high"], first[1]["high"])
    evaluation.features(backbone, train, "high", pooling="avg")
    assert len(passes) == 2


def test_the_key_tells_weights_data_and_precision_apart_but_not_names(backbone, train, test, cache):
    evaluation.features(backbone, train, "high")
    assert len(files(cache)) == 1
    twin = type(backbone)(name="other")
    twin.set_weights(backbone.get_weights())
    evaluation.features(twin, train, "high")
    assert len(files(cache)) == 1
    evaluation.features(backbone, test, "high")
    evaluation.features(backbone, train, "high", dtype="mixed_bfloat16")
    assert len(files(cache)) == 3
    backbone.trainable_variables[0].assign(backbone.trainable_variables[0] + 1)
    evaluation.features(backbone, train, "high")
    assert len(files(cache)) == 4


def test_bfloat16_pass_is_close(backbone, train):
    exact = np.asarray(evaluation.features(backbone, train, "high")["high"], np.float32)
    rough = np.asarray(evaluation.features(backbone, train, "high", dtype="mixed_bfloat16")["high"],
                       np.float32)
    error = np.abs(rough - exact).mean() / np.abs(exact).mean()
    assert 0 < error < 0.02
    assert {layer.dtype_policy.name for layer in backbone.layers} == {"float32"}


def test_without_cache_nothing_stays(backbone, train, cache):
    images, _ = train.arrays()
    out = evaluation.features(backbone, train, "high", cache=False)["high"]
    np.testing.assert_allclose(out, expected(backbone, images, "high"), atol=2e-3)
    assert not files(cache)


def test_a_pass_that_fails_leaves_nothing(backbone, train, cache, monkeypatch):
    def broken(source, *arguments):
        yield source.arrays()[0][:50]
        raise RuntimeError("cable pulled")

    monkeypatch.setattr(module, "batches", broken)
    with pytest.raises(RuntimeError, match="cable pulled"):
        evaluation.features(backbone, train)
    assert not files(cache)


def test_missing_pictures_are_noticed(backbone, train, cache, monkeypatch):
    monkeypatch.setattr(module, "batches", lambda source, *a: [source.arrays()[0][:50]])
    with pytest.raises(ValueError, match="120. Received: 50"):
        evaluation.features(backbone, train)
    assert not files(cache)


def test_full_disk_names_the_folder(backbone, train, cache, monkeypatch):
    def full(source, *arguments):
        yield source.arrays()[0][:50]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "batches", full)
    with pytest.raises(OSError, match="KERAS_PRETEXT_CACHE.*Received: .*cache"):
        evaluation.features(backbone, train)
    assert not files(cache)


def test_the_cache_is_bounded(backbone, train, test, cache, monkeypatch):
    """What was used longest ago goes first; what is asked for is written in any case."""
    evaluation.features(backbone, train, "low")
    evaluation.features(backbone, train, "high")
    size = {path.stat().st_size: path for path in files(cache)}
    low, high = size[max(size)], size[min(size)]
    os.utime(low, (1, 1))
    os.utime(high, (2, 2))
    monkeypatch.setenv("KERAS_PRETEXT_CACHE_GB", str((max(size) + 1.2 * min(size)) / 1e9))
    evaluation.features(backbone, train, "low")  # counts as used now
    evaluation.features(backbone, test, "high")
    assert low.exists() and not high.exists() and len(files(cache)) == 2
    monkeypatch.setenv("KERAS_PRETEXT_CACHE_GB", "0")
    images, _ = test.arrays()
    found = evaluation.features(backbone, test, "low")["low"]
    np.testing.assert_allclose(found, expected(backbone, images, "low"), atol=2e-3)
    assert len(files(cache)) == 1


def test_what_is_read_now_may_make_room_for_what_is_written(backbone, train, cache, monkeypatch):
    monkeypatch.setenv("KERAS_PRETEXT_CACHE_GB", "0")
    images, _ = train.arrays()
    evaluation.features(backbone, train, "low")
    for tap, values in evaluation.features(backbone, train).items():
        np.testing.assert_allclose(values, expected(backbone, images, tap), rtol=2e-3, atol=2e-3)


def test_a_full_disk_makes_room(backbone, train, cache, monkeypatch):
    evaluation.features(backbone, train, "low")
    usage = shutil.disk_usage(cache)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10))
    evaluation.features(backbone, train, "high")
    assert len(files(cache)) == 1


def test_what_cannot_be_removed_stays(backbone, train, cache, monkeypatch):
    evaluation.features(backbone, train, "low")

    def refused(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setenv("KERAS_PRETEXT_CACHE_GB", "0")
    with monkeypatch.context() as patch:
        patch.setattr(module.pathlib.Path, "unlink", refused)
        module.make_room(cache / "features", 1)
    assert len(files(cache)) == 1


def test_parts_of_killed_processes_are_removed(backbone, train, cache):
    evaluation.features(backbone, train, "low")
    new, old = (files(cache)[0].parent / name for name in (".partnew", ".partold"))
    for path in (new, old):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    evaluation.features(backbone, train, "high")
    assert new.exists() and not old.exists()


def test_a_limit_that_is_no_number_is_named(backbone, train, monkeypatch):
    monkeypatch.setenv("KERAS_PRETEXT_CACHE_GB", "lots")
    with pytest.raises(ValueError, match="CACHE_GB is a number.*Received: 'lots'"):
        evaluation.features(backbone, train)


def test_unwritable_cache_is_named(backbone, train, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_PRETEXT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="KERAS_PRETEXT_CACHE"):
        evaluation.features(backbone, train)


def test_broken_weights_are_noticed(backbone, train):
    backbone.trainable_variables[0].assign(backbone.trainable_variables[0] * np.nan)
    with pytest.raises(ValueError, match="weights are finite.*Received: tiny.*kernel"):
        evaluation.features(backbone, train)


def test_activations_that_overflow_are_noticed_and_leave_nothing(backbone, train, cache):
    for weight in backbone.trainable_variables:
        weight.assign(weight * 1e30)
    with pytest.raises(ValueError, match="tap 'high' are not finite in float32.*Received: tiny"):
        evaluation.features(backbone, train)
    assert not files(cache)


def test_large_values_are_cut_at_the_range_of_float16(backbone, train):
    backbone.trainable_variables[0].assign(backbone.trainable_variables[0] * 1e6)
    values = evaluation.features(backbone, train, "low")["low"]
    assert values.max() == 65504 and np.isfinite(values).all()


def test_pictures_of_another_size_are_framed(backbone, rng):
    images = rng.integers(0, 255, (6, 10, 16, 3)).astype("uint8")
    source = ArraySource(images)
    out = evaluation.features(backbone, source, "low", image_size=10)["low"]
    np.testing.assert_allclose(out, expected(backbone, images[:, :, 3:13], "low"), atol=5e-3)
    np.testing.assert_array_equal(module.pictures(source, 10), images[:, :, 3:13])


def test_bad_requests(backbone, train):
    with pytest.raises(ValueError, match="unknown tap of tiny.*'high'.*Received: 'hihg'"):
        evaluation.features(backbone, train, "hihg")
    with pytest.raises(ValueError, match="no tap.*low, high"):
        evaluation.features(backbone, train, [])
    with pytest.raises(ValueError, match="pooling.*Received: 'max'"):
        evaluation.features(backbone, train, pooling="max")
    with pytest.raises(ValueError, match="Received: Sequential"):
        evaluation.features(keras.Sequential(), train)


def test_tiles_are_seen_alone_and_their_maps_averaged(backbone):
    images = np.random.default_rng(1).integers(0, 255, (4, 48, 48, 3)).astype("uint8")
    source = ArraySource(images)
    out = evaluation.features(backbone, source, "high", tiles=3)["high"]
    parts = [expected(backbone, images[:, y:y + 16, x:x + 16], "high").astype("float32")
             for y in (0, 16, 32) for x in (0, 16, 32)]
    np.testing.assert_allclose(out, np.mean(parts, 0), atol=2e-3)
    whole = evaluation.features(backbone, source, "high")["high"]  # of the cache's own file
    assert whole.shape[1] == 3 * out.shape[1]
    with pytest.raises(ValueError, match="as many tiles a side as divide that.*tiles=5"):
        evaluation.features(backbone, source, "high", tiles=5)


@pytest.mark.parametrize("size", [0, -5, 8.5, True])
def test_what_is_no_side_of_a_picture(backbone, train, test, size):
    with pytest.raises(ValueError, match=f"image_size is a whole number.*Received: {size}"):
        evaluation.features(backbone, train, image_size=size)
    with pytest.raises(ValueError, match=f"image_size is a whole number.*Received: {size}"):
        evaluation.linear(backbone, train, test, image_size=size)
