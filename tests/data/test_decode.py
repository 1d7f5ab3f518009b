import io
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_pretext.data.decode import decode, decode_framed, to_plain
from keras_pretext.image.framing import CentreCrop, PadCrop, RandomResizedCrop

SMOOTH = np.stack(np.meshgrid(np.linspace(20, 230, 60), np.linspace(10, 200, 44)), -1)
RGB = np.concatenate([SMOOTH, 255 - SMOOTH[..., :1]], -1).round().astype(np.uint8)  # 44 x 60


def encoded(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def rotated(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def as_tensorflow_sees(data):
    return tf.io.decode_image(to_plain(data), channels=3, expand_animations=False).numpy()


PICTURE = Image.fromarray(RGB)
LOSSLESS = {
    "png": encoded(PICTURE, "PNG"),
    "bmp": encoded(PICTURE, "BMP"),
    "tiff": encoded(PICTURE, "TIFF"),
    "webp": encoded(PICTURE, "WEBP", lossless=True),
    "opaque rgba": encoded(PICTURE.convert("RGBA"), "PNG"),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_kinds_come_through_to_the_bit(kind):
    np.testing.assert_array_equal(as_tensorflow_sees(LOSSLESS[kind]), RGB)


def test_plain_jpeg_and_png_bytes_are_passed_on_untouched():
    for data in (LOSSLESS["png"], encoded(PICTURE, "JPEG"),
                 encoded(PICTURE.convert("L"), "JPEG")):
        assert to_plain(data) is data


def test_grey_becomes_three_equal_channels():
    grey = PICTURE.convert("L")
    seen = as_tensorflow_sees(encoded(grey, "PNG"))
    np.testing.assert_array_equal(seen, np.repeat(np.asarray(grey)[..., None], 3, -1))


def test_one_bit_and_palette():
    bits = PICTURE.convert("1")
    np.testing.assert_array_equal(as_tensorflow_sees(encoded(bits, "PNG"))[..., 0],
                                  np.asarray(bits) * 255)
    palette = PICTURE.quantize(16)
    np.testing.assert_array_equal(as_tensorflow_sees(encoded(palette, "PNG")),
                                  np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(as_tensorflow_sees(encoded(palette, "GIF")),
                                  np.asarray(palette.convert("RGB")))


def test_transparent_parts_lie_on_white():
    alpha = np.full(RGB.shape[:2], 255, np.uint8)
    alpha[:10], alpha[10:20] = 0, 128
    seen = as_tensorflow_sees(encoded(Image.fromarray(np.dstack([RGB, alpha])), "PNG"))
    np.testing.assert_array_equal(seen[:10], 255)
    half = RGB[10:20] * (128 / 255) + 255 * (127 / 255)
    assert abs(seen[10:20] - half).max() <= 1
    np.testing.assert_array_equal(seen[20:], RGB[20:])
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    seen = as_tensorflow_sees(encoded(palette, "PNG", transparency=1))
    np.testing.assert_array_equal(seen, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_high_byte(kind):
    values = (np.arange(32 * 32).reshape(32, 32) * 64).astype(np.uint16)
    seen = as_tensorflow_sees(encoded(Image.fromarray(values), kind))
    assert seen.max() > 250 and seen.min() == 0  # neither clipped nor dark
    assert abs(seen[..., 0] - values / 257).max() <= 1


def test_sixteen_bits_of_three_channels():
    data = tf.io.encode_png(tf.constant(RGB.astype(np.uint16) * 257)).numpy()
    assert abs(as_tensorflow_sees(data).astype(int) - RGB).max() <= 1


def test_cmyk_jpeg_as_pillow_shows_it():
    data = encoded(PICTURE.convert("CMYK"), "JPEG", quality=95)
    np.testing.assert_array_equal(as_tensorflow_sees(data),
                                  np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert abs(as_tensorflow_sees(data).astype(int) - RGB).mean() < 3


@pytest.mark.parametrize("orientation, upright", [
    (1, lambda x: x), (2, lambda x: x[:, ::-1]), (3, lambda x: x[::-1, ::-1]),
    (4, lambda x: x[::-1]), (5, lambda x: x.transpose(1, 0, 2)),
    (6, lambda x: np.rot90(x, -1)), (7, lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
    (8, lambda x: np.rot90(x, 1)),
])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientations_are_put_upright(orientation, upright, kind):
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    plain = np.asarray(Image.open(io.BytesIO(encoded(PICTURE, kind, **options))))
    data = encoded(PICTURE, kind, exif=rotated(orientation), **options)
    np.testing.assert_array_equal(decode(data), upright(plain))
    seen = as_tensorflow_sees(data).astype(int)
    if kind == "JPEG" and orientation == 1:  # TensorFlow's own decoder: its DCT is the fast one
        assert abs(seen - plain).max() <= 6 and abs(seen - plain).mean() < 1.5
    else:
        np.testing.assert_array_equal(seen, upright(plain))


@pytest.mark.parametrize("mode, kind", [("F", "TIFF"), ("I", "TIFF")])
def test_numbers_without_a_known_white_are_refused(mode, kind):
    data = encoded(PICTURE.convert("L").convert(mode), kind)
    for read in (decode, to_plain):
        with pytest.raises(ValueError, match="black and white are not known"):
            read(data)


def test_16_bits_keep_their_share_of_white():
    values = np.array([[0, 256, 257 * 99, 257 * 100 - 1, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        seen = decode(encoded(Image.fromarray(values), kind))
        assert seen[0, :, 0].tolist() == [0, 0, 99, 99, 255]


def test_a_damaged_exif_block_does_not_cost_the_picture():
    data = encoded(PICTURE, "JPEG", exif=rotated(6))
    at = data.index(b"Exif\0\0")
    damaged = data[:at + 6] + b"II*\0\xff\xff\xff\x7f" + data[at + 14:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = as_tensorflow_sees(damaged)
    np.testing.assert_array_equal(seen,
                                  as_tensorflow_sees(encoded(PICTURE, "JPEG")))


def test_what_cannot_be_read_is_refused():
    jpeg, png = encoded(PICTURE, "JPEG"), LOSSLESS["png"]
    flipped = png[:60] + bytes([png[60] ^ 255]) + png[61:]
    for bad in (b"", b"no picture", jpeg[:len(jpeg) // 2], png[:-20], flipped,
                encoded(PICTURE, "TIFF")[:500]):
        with pytest.raises(ValueError, match="not a readable picture"):
            to_plain(bad)
    assert to_plain(jpeg + b"trailer" * 100) == jpeg + b"trailer" * 100


@pytest.mark.parametrize("framing", [CentreCrop(20), CentreCrop(44), RandomResizedCrop(24)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_fused_decode_is_the_framing_of_the_decoded_picture(framing, kind):
    data = encoded(PICTURE, kind, **({"quality": 95} if kind == "JPEG" else {}))
    fused = tf.function(lambda bytes_, draws: decode_framed(bytes_, framing, draws))
    for draws in np.random.default_rng(0).random((4, framing.num_draws)).astype(np.float32):
        whole = as_tensorflow_sees(data)
        expected = np.asarray(framing(tf.constant(whole), tf.constant(draws))).astype(int)
        mine = fused(tf.constant(data), tf.constant(draws)).numpy()
        assert mine.shape == (framing.size, framing.size, 3) and mine.dtype == np.uint8
        difference = abs(mine - expected)
        assert difference.max() <= (6 if kind == "JPEG" else 1) and difference.mean() < 1


def test_a_window_of_the_right_size_is_not_resampled():
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    mine = decode_framed(encoded(Image.fromarray(noise), "PNG"), CentreCrop(30), tf.zeros(0))
    np.testing.assert_array_equal(mine, noise[5:35])


def test_windows_that_reach_out_of_the_picture():
    data = encoded(Image.fromarray(RGB[:32, :32]), "PNG")
    shifted = decode_framed(data, PadCrop(32, 4), tf.constant([0.0, 0.0])).numpy()
    np.testing.assert_array_equal(shifted[4:, 4:], RGB[:28, :28])
    assert not shifted[:4].any() and not shifted[:, :4].any()
