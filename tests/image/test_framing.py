import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pretext.image import framing as framings

KINDS = [framings.PadCrop(32, 4), framings.ResizeCrop(48, 56), framings.CentreCrop(40, 44),
         framings.RandomResizedCrop(48, (0.2, 1.0)), framings.GridCrop(48, 56),
         framings.GridCrop(48, 50, 4, centred=True), framings.AreaCrop(40, (2000, 9000), 0.05)]


@pytest.mark.parametrize("framing", KINDS, ids=lambda f: type(f).__name__)
def test_windows_lie_in_the_image_and_config_round_trips(framing, rng):
    draws = rng.random((4000, framing.num_draws), dtype="float32")
    height = rng.integers(50, 300, 4000).astype("int32")
    width = rng.integers(50, 300, 4000).astype("int32")
    top, left, h, w = [keras.ops.convert_to_numpy(keras.ops.broadcast_to(t, (4000,)))
                       for t in framing.window(height, width, draws)]
    slack = 0 if not isinstance(framing, framings.PadCrop) else 40
    assert (h > 0).all() and (w > 0).all()
    assert (top >= -slack).all() and (left >= -slack).all()
    assert (top + h <= height + slack).all() and (left + w <= width + slack).all()
    assert framings.get(framings.serialize(framing)) == framing


@pytest.mark.parametrize("margin", [0.0, 0.04])
def test_area_crop_keeps_off_the_margin(margin, rng):
    """Of a picture whose border of 4 in 100 pixels is black, a margin of 0.04 shows none of it."""
    image = np.full((100, 140, 3), 200, "uint8")
    image[:4] = image[-4:] = image[:, :4] = image[:, -4:] = 0
    framing = framings.AreaCrop(40, (4000, 9000), margin)
    draws = rng.random((200, 3), dtype="float32")
    framed = np.asarray(framing(np.repeat(image[None], 200, 0), draws))
    assert (framed.min() == 200) == bool(margin)
    whole = framings.AreaCrop(40, (4000, 9000), margin).evaluation()
    assert np.asarray(whole(image[None], draws[:1, :0])).min() == 200


def test_pad_crop_is_the_usual_cifar_augmentation(rng):
    images = rng.integers(0, 256, (20, 32, 32, 3)).astype("uint8")
    draws = rng.random((20, 2), dtype="float32")
    out = keras.ops.convert_to_numpy(framings.PadCrop(32, 4)(tf.constant(images), draws))
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    for k, (y, x) in enumerate((draws * 9).astype(int)):
        np.testing.assert_array_equal(out[k], padded[k, y:y + 32, x:x + 32])


@pytest.mark.parametrize("side, most", [(32, 4), (37, 4), (63, 7), (31, 3)])
def test_every_offset_of_the_pad_crop_is_equally_likely(side, most):
    places = 2 * most + 1  # the same to both sides, at sides of no whole number of times 32 too
    draws = np.stack(np.meshgrid(np.arange(0.5, 10 * places) / (10 * places), [0.5]), -1)
    draws = draws.reshape(-1, 2).astype("float32")
    top = framings.PadCrop(32, 4).window(np.int32(side), np.int32(side), draws)[0]
    values, counts = np.unique(keras.ops.convert_to_numpy(top), return_counts=True)
    np.testing.assert_array_equal(values, np.arange(-most, most + 1))
    assert (counts == 10).all()


@pytest.mark.parametrize("size", [41, 47, 55, 61])
def test_the_pad_is_whole_at_every_size(size):
    """In float32, 41 * (4 / 41) is less than 4."""
    draws = np.zeros((1, 2), "float32")
    top = framings.PadCrop(size, 4).window(np.int32(size), np.int32(size), draws)[0]
    assert int(np.asarray(top)[0]) == -4


def test_areas_of_area_crop_are_uniform_where_the_square_fits():
    """Of a picture of 281 x 500, less than 281,888 pixels leave no square of 398."""
    draws = np.zeros((1000, 3), "float32")
    draws[:, 0] = np.arange(0.5, 1000) / 1000
    side = np.asarray(framings.AreaCrop(398).window(np.int32(281), np.int32(500), draws)[2])
    area = 281 * 500 * (398 / side) ** 2
    expected = np.quantile([398 * 398 * 500 / 281, 450_000], [0.1, 0.5, 0.9])
    np.testing.assert_allclose(np.quantile(area, [0.1, 0.5, 0.9]), expected, rtol=0.01)
    assert (side == 281).mean() < 0.02
    whole = np.asarray(framings.AreaCrop(398).window(np.int32(500), np.int32(500), draws)[2])
    area = 500 * 500 * (398 / whole) ** 2
    np.testing.assert_allclose(np.quantile(area, [0, 1]), [158_404, 450_000], rtol=0.01)
    narrow = framings.AreaCrop(398).window(np.int32(100), np.int32(500), draws)[2]
    assert set(np.asarray(narrow).tolist()) == {100}  # no area of the range has room


def test_resampling_agrees_with_pillow(rng):
    smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype("uint8"))
    image = np.asarray(smooth.resize((160, 120), Image.Resampling.BICUBIC))
    framing = framings.RandomResizedCrop(48)
    draws = np.array([0.6, 0.3, 0.2, 0.9], "float32")
    top, left, h, w = [int(v) for v in framing.window(np.int32(120), np.int32(160), draws)]
    mine = keras.ops.convert_to_numpy(framing(tf.constant(image), tf.constant(draws)))
    crop = Image.fromarray(image[top:top + h, left:left + w])
    theirs = np.asarray(crop.resize((48, 48), Image.Resampling.BILINEAR)).astype(int)
    assert abs(mine.astype(int) - theirs).max() <= 1


def test_one_image_is_a_batch_of_one(rng):
    images = rng.integers(0, 256, (5, 70, 90, 3)).astype("uint8")
    framing = framings.RandomResizedCrop(32)
    draws = rng.random((5, 4), dtype="float32")
    batch = framing(tf.constant(images), tf.constant(draws))
    for k in range(5):
        np.testing.assert_array_equal(framing(tf.constant(images[k]), tf.constant(draws[k])),
                                      batch[k])


def test_evaluation_framing_takes_the_centre():
    image = np.zeros((64, 96, 3), "uint8")
    image[:, 16:80] = 200
    out = framings.PadCrop(32).evaluation()(tf.constant(image), tf.zeros((0,)))
    assert (np.asarray(out) == 200).all()


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match="pad_crop.*Received: 'pad_corp'"):
        framings.get({"kind": "pad_corp", "size": 32})


@pytest.mark.parametrize("side", [50, 77, 110])
def test_cells_of_the_grid_crop_are_resampled_alike(rng, side):
    """What lies in one cell of a picture gives the same pixels when it lies in the next."""
    framing = framings.GridCrop(45, 48, 3, centred=True)
    top, left, h, w = [int(v) for v in framing.window(np.int32(side), np.int32(side), None)]
    assert h == w == side * 45 // 48 // 3 * 3
    image = rng.integers(0, 256, (1, side, side, 3)).astype("uint8")
    moved = np.roll(image, h // 3, axis=2)
    one, other = (np.asarray(framing(x, np.zeros((1, 0), "float32"))) for x in (image, moved))
    np.testing.assert_array_equal(one[:, :, 2:13], other[:, :, 17:28])
    plain = framings.CentreCrop(45, 48)
    if int(plain.window(np.int32(side), np.int32(side), None)[2]) % 3:
        one, other = (np.asarray(plain(x, np.zeros((1, 0), "float32"))) for x in (image, moved))
        assert (one[:, :, 2:13] != other[:, :, 17:28]).any()


def test_a_grid_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="size=224, cells=3"):
        framings.GridCrop(224)
