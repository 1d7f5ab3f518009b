"""Encoded pictures of strangers: what is readable is right, the rest is told, nothing fails."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_pretext.data.decode import decode

SIZE = 24


@pytest.fixture(scope="module")
def squares():
    import tensorflow as tf

    from keras_pretext.serving import decoding

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def served(encoded):
        return decoding.squares(encoded, SIZE, max_pixels=10_000)

    def answer(batch):
        images, valid = served(tf.constant(batch, tf.string))
        return images.numpy(), valid.numpy().tolist()

    return answer


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (SIZE, SIZE, 3)).astype("uint8")


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(out, kind, **options)
    return out.getvalue()


def png_claiming(width, height):
    header = b"IHDR" + struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (header, pixels, b"IEND"))


def jpeg_claiming(image, height):
    data = bytearray(encoded(image, "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place:place + 2] = struct.pack(">H", height)
    return bytes(data)


def test_what_is_no_picture_is_told_and_the_others_are_right(squares, image):
    jpeg, png = encoded(image, "JPEG"), encoded(image)
    gif, bmp = encoded(image, "GIF"), encoded(image, "BMP")
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 255
    bad = [b"", b"no picture", b"\xff\xd8\xff", b"\xff\xd8\xff" + b"\xff" * 5000, b"GIF89a", b"BM",
           b"\x89PNG\r\n\x1a\n", jpeg[:len(jpeg) // 2], png[:len(png) // 2], gif[:len(gif) // 2],
           bmp[:len(bmp) // 2], bytes(damaged), png_claiming(60_000, 60_000), png_claiming(0, 5),
           png_claiming(2**31 + 5, 2**31 + 5), jpeg_claiming(image, 65_000),
           b"RIFF\x00\x00\x00\x00WEBP"]
    batch = [x for one in bad for x in (one, png)]
    images, valid = squares(batch)
    assert valid == [False, True] * len(bad)
    assert not images[::2].any()
    assert (images[1::2] == image).all()
    assert squares(bad)[1] == [False] * len(bad)


def test_an_empty_batch(squares):
    images, valid = squares([])
    assert images.shape == (0, SIZE, SIZE, 3) and valid == []


def test_the_order_is_that_of_the_batch(squares, rng):
    batch = rng.integers(0, 256, (50, SIZE, SIZE, 3)).astype("uint8")
    # slow and quick ones: large pictures whose centre is the picture
    images, valid = squares([encoded(np.pad(one, ((0, 0), (30 * (k % 3), 30 * (k % 3)), (0, 0))))
                             for k, one in enumerate(batch)])
    assert all(valid)
    np.testing.assert_array_equal(images, batch)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation(squares, orientation, order):
    """As Pillow turns it, which the pipelines of training use; 0 and 9 are none of the standard."""
    y, x = np.mgrid[:SIZE, :SIZE + 9]  # smooth, for two decoders of JPEG to agree
    picture = Image.fromarray(np.stack([7 * x, 9 * y, 4 * x + 4 * y], -1).astype("uint8"))
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    block = exif.tobytes()
    if order == "big":
        ascii_ = b"a maker\0"
        block = (b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2)
                 + struct.pack(">HHII", 0x010F, 2, len(ascii_), 38)
                 + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4) + ascii_)
    options = {"quality": 95, "subsampling": 0, "icc_profile": b"x" * 900}
    turned = encoded(picture, "JPEG", exif=block, **options)
    plain = encoded(picture, "JPEG", **options)
    upright = decode(turned)
    side = min(upright.shape[:2])
    top, left = ((n - side) // 2 for n in upright.shape[:2])
    images, valid = squares([turned, plain])
    assert valid == [True, True]
    np.testing.assert_allclose(images[0].astype(int),
                               upright[top:top + side, left:left + side].astype(int), atol=8)
    assert (np.abs(images[0].astype(int) - images[1]).max() > 20) == (orientation in range(2, 9))


def test_a_damaged_exif_block_means_upright(squares, image):
    picture = encoded(image, "JPEG")
    expected = squares([picture])[0]
    for block in (b"", b"II*", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff",
                  b"II*\0\x08\0\0\0\x01\0\x12\x01\x03"):
        body = b"Exif\0\0" + block
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        images, valid = squares([picture[:2] + segment + picture[2:]])
        assert valid == [True]
        np.testing.assert_array_equal(images, expected)


def test_only_the_first_frame_of_a_gif_is_read(squares, rng):
    frames = [Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3)).astype("uint8")).quantize(256)
              for _ in range(3)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"a comment")
    images, valid = squares([gif])
    assert valid == [True]
    np.testing.assert_array_equal(images[0], np.asarray(frames[0].convert("RGB")))
    # the size that counts is the larger of the canvas's and the frame's
    import tensorflow as tf

    from keras_pretext.serving.decoding import _first_frame, _header

    place = gif.index(b"\x2c\0\0\0\0" + struct.pack("<HH", SIZE, SIZE)) + 5
    bomb = gif[:place] + struct.pack("<HH", 60_000, 50_000) + gif[place + 4:]
    later = gif.index(b"\x21\xf9", place)  # the second frame's control extension
    for data, size in ((gif, (SIZE, SIZE)), (bomb, (50_000, 60_000))):
        whole, *found, end = _first_frame(tf, tf.io.decode_raw(data, tf.uint8))
        assert whole and tuple(map(int, found)) == size and end == later
    assert _header(tf, tf.constant(gif))[3] == gif[:later] + b"\x3b"
    assert squares([bomb, gif[:later - 1]])[1] == [False, False]


def test_transparent_parts_lie_on_white(squares, rng):
    rgba = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 4)).astype("uint8"))
    palette = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3)).astype("uint8")).quantize(16)
    batch = [encoded(rgba), encoded(palette, transparency=3)]
    images, valid = squares(batch)
    assert valid == [True, True]
    for found, one in zip(images, batch, strict=True):
        np.testing.assert_allclose(found.astype(int), decode(one).astype(int), atol=1)


@pytest.mark.parametrize("kind, mode, colours", [
    ("PNG", "P", 2), ("PNG", "P", 4), ("PNG", "P", 16), ("PNG", "P", 256), ("PNG", "1", 2),
    ("PNG", "L", 256), ("BMP", "P", 16), ("BMP", "P", 256), ("BMP", "L", 256)])
def test_few_colours_and_bits_are_seen_as_they_are(squares, rng, kind, mode, colours):
    """A scan of 1 bit was white, a palette of a BMP its indices."""
    image = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3)).astype("uint8"))
    image = image.quantize(colours) if mode == "P" else image.convert(mode)
    images, valid = squares([encoded(image, kind)])
    assert valid == [True]
    np.testing.assert_array_equal(images[0], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits(squares, rng, bits):
    """A PNG by hand, for Pillow writes none of them."""
    values = rng.integers(0, 2 ** bits, (SIZE, SIZE)).astype("uint8")
    rows = np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(SIZE, -1)
    lines = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)

    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, bits, 0, 0, 0,
                                                              0))
           + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
    images, valid = squares([png])
    assert valid == [True]
    expected = values.astype(int) * (255 // (2 ** bits - 1))
    np.testing.assert_array_equal(images[0], expected[..., None].repeat(3, -1))


def test_a_bmp_of_run_lengths_is_none(squares, rng):
    image = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3)).astype("uint8")).quantize(256)
    bmp = encoded(image, "BMP")
    assert squares([bmp[:30] + b"\1" + bmp[31:]])[1] == [False]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_of_more_pixels_than_allowed_is_not_decoded(squares, rng, kind):
    large = rng.integers(0, 256, (100, 101, 3)).astype("uint8")
    images, valid = squares([encoded(large, kind), encoded(large[:, :100], kind)])
    assert valid == [False, True]
    assert not images[0].any() and images[1].any()
