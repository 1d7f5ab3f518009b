"""Encoded pictures of every kind to RGB, and the decoding that is fused with the crop."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

_ORIENTATION = 0x0112
_UPRIGHT = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90}
_MAY_HOLD_EXIF = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
# What Pillow raises for a picture that it cannot read.
UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError, EOFError,
              struct.error, Image.DecompressionBombError)


def _orientation(picture):
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or the EXIF is damaged."""
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block raises whatever its parser stumbles over
        return 1
    return value if value in _UPRIGHT else 1


def is_plain(picture, upright=False):
    """Whether TensorFlow decodes an opened Pillow image as it is meant to be seen.

    `upright` says that there is no EXIF to ask.
    """
    mode_ok = picture.mode in ("RGB", "L") and "transparency" not in picture.info
    return (picture.format in ("JPEG", "PNG") and mode_ok
            and (upright or _orientation(picture) == 1))


def ends(tail):
    """Whether the last 64 bytes of a JPEG hold its end marker.

    A picture without it may still be whole, with other data behind it: only decoding tells.
    """
    return b"\xff\xd9" in tail


def reason(error):
    """Why Pillow could not read a picture, in words that are the same each time."""
    if isinstance(error, UnidentifiedImageError):
        return "of no known format"
    return str(error) or type(error).__name__


def _png_chunks(encoded):
    """The names of the chunks of a PNG. Raises ValueError where one is cut off or damaged."""
    names, place = set(), 8
    while b"IEND" not in names:
        if place + 12 > len(encoded):
            raise ValueError("truncated")
        end = place + 8 + int.from_bytes(encoded[place:place + 4], "big")
        if end + 4 > len(encoded):
            raise ValueError("truncated")
        if zlib.crc32(encoded[place + 4:end]) != int.from_bytes(encoded[end:end + 4], "big"):
            raise ValueError(f"wrong checksum of the chunk at byte {place}")
        names.add(encoded[place + 4:place + 8])
        place = end + 4
    return names


def to_rgb(picture):
    """A Pillow image to upright 8-bit RGB; transparent parts lie on white.

    Raises:
        ValueError: for pictures of floats or of 32 bits: which number is white is not known.
    """
    picture.load()  # which turns a TIFF upright, and takes its tag away
    if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
        raise ValueError("of 32 bits, black and white are not known: write 8 or 16")
    orientation = _orientation(picture)
    if orientation != 1:
        picture = picture.transpose(_UPRIGHT[orientation])
    if picture.mode.startswith("I"):  # 16 bits
        values = np.asarray(picture).astype(np.int64)
        return Image.fromarray((values // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def to_plain(encoded):
    """Bytes of any format that Pillow reads to bytes that TensorFlow reads alike.

    Plain JPEG and PNG come back as they are; CMYK, 16-bit, palette, transparent, EXIF-rotated and
    other formats as PNG of the upright 8-bit RGB picture.

    Raises:
        ValueError: for what cannot be decoded.
    """
    return plain_and_size(encoded)[0]


def plain_and_size(encoded):
    """`(bytes, (height, width))` of `to_plain`. Raises ValueError."""
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            size = picture.size[::-1]
            # Pillow decodes a PNG to look for its EXIF; the names of its chunks mostly tell.
            chunks = _png_chunks(encoded) if picture.format == "PNG" else _MAY_HOLD_EXIF
            if is_plain(picture, upright=not chunks & _MAY_HOLD_EXIF):
                if picture.format == "JPEG" and not ends(encoded[-64:]):
                    picture.load()
                return encoded, size
            picture = to_rgb(picture)
            out = io.BytesIO()
            picture.save(out, "PNG", compress_level=1)
            return out.getvalue(), picture.size[::-1]
    except UNREADABLE as error:
        raise ValueError(f"not a readable picture ({reason(error)})") from None


def decode_framed(encoded, framing, draws):
    """Scalar bytes of a plain JPEG or PNG to the framed uint8 `(size, size, 3)` picture.

    Plain is what `Source.fetch` gives; other bytes go through `to_plain` first.

    Of a JPEG only the framing's window is decoded; a window that has the right size already is
    not resized. Windows that reach out of the picture (pad-and-crop) go the framing's own way.
    """
    import tensorflow as tf

    size = framing.size
    if not framing.inside:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image = tf.ensure_shape(image, (None, None, 3))
        return framing(image, draws)

    def from_jpeg():
        shape = tf.io.extract_jpeg_shape(encoded)
        window = framing.window(shape[0], shape[1], draws)
        return tf.image.decode_and_crop_jpeg(encoded, tf.stack(window), channels=3)

    def from_png():
        image = tf.io.decode_png(encoded, channels=3)
        return _window(image, framing, draws)

    return _resized(tf.cond(tf.io.is_jpeg(encoded), from_jpeg, from_png), size)


def crop_framed(image, framing, draws):
    """`decode_framed` of a picture that is decoded already: uint8 `(height, width, channels)`.
    """
    if not framing.inside:
        return framing(image, draws)
    return _resized(_window(image, framing, draws), framing.size)


def _window(image, framing, draws):
    import tensorflow as tf

    shape = tf.shape(image)
    top, left, height, width = framing.window(shape[0], shape[1], draws)
    return image[top:top + height, left:left + width]


def _resized(crop, size):
    """Antialiased to `size` square; a picture that has that size is left as it is."""
    import tensorflow as tf

    def resized():
        out = tf.image.resize(crop, (size, size), antialias=True)
        return tf.cast(tf.floor(tf.clip_by_value(out, 0.0, 255.0) + 0.5), tf.uint8)

    shape = tf.shape(crop)
    out = tf.cond((shape[0] == size) & (shape[1] == size), lambda: crop, resized)
    return tf.ensure_shape(out, (size, size, crop.shape[-1]))


def decode(encoded):
    """Bytes of any readable format to a uint8 `(height, width, 3)` array."""
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(to_rgb(picture))
