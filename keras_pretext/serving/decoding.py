"""Encoded pictures of strangers to squares, in TensorFlow's own ops: nothing of theirs can fail
the batch that they are in."""

# What a picture's header may claim: some 48-megapixel photographs, 150 MB when decoded.
MAX_PIXELS = 50_000_000
_THREADS = 8
# Segments before the pixels of a JPEG; blocks of at most 255 bytes of the first frame of a GIF.
_MAX_SEGMENTS, _MAX_BLOCKS = 256, 1 << 16


def squares(encoded, size, max_pixels=MAX_PIXELS):
    """Encoded JPEG, PNG, GIF (its first frame) and BMP to upright uint8 squares.

    Of each picture the EXIF orientation (JPEG) is applied and what is transparent (PNG) laid on
    white; the central square is resized, antialiased: the same as resizing the short side and
    cropping. What cannot be decoded, or claims more than `max_pixels`, becomes black.

    Args:
        encoded: strings `(batch,)`; the batch may be empty.
        size: side of the squares in pixels.
        max_pixels: most pixels that a header may claim; nothing of a larger one is decoded.

    Returns:
        uint8 `(batch, size, size, 3)`, and bool `(batch,)`: which are pictures.
    """
    import tensorflow as tf

    count = tf.size(encoded, out_type=tf.int64)

    def one(index, picture):
        known, height, width, picture = _header(tf, picture)
        ok = known & (height > 0) & (width > 0) & (height * width <= max_pixels)
        square = tf.cond(ok, lambda: _square(tf, _upright(tf, picture), size),
                         lambda: tf.zeros((size, size, 3), tf.uint8))
        return index, square, ok

    # A dataset, for it alone can go on after an op that failed. Its first element stands for an
    # empty batch; the others come in any order.
    black = tf.data.Dataset.from_tensors(
        (tf.constant(-1, tf.int64), tf.zeros((size, size, 3), tf.uint8), False))
    decoded = tf.data.Dataset.from_tensor_slices((tf.range(count), encoded))
    decoded = decoded.map(one, _THREADS, deterministic=False).ignore_errors()
    options = tf.data.Options()
    options.autotune.enabled = False  # freeing an autotuned iterator can take seconds
    index, images, ok = (black.concatenate(decoded).batch(count + 1).with_options(options)
                         .get_single_element())
    index, images, ok = index[1:, None], images[1:], tf.cast(ok[1:], tf.uint8)
    images = tf.scatter_nd(index, images, (count, size, size, 3))
    return (tf.ensure_shape(images, (None, size, size, 3)),
            tf.cast(tf.scatter_nd(index, ok, [count]), tf.bool))


def _header(tf, encoded):
    """`(known, height, width, bytes)` that a header claims; of a GIF only the first frame."""
    def png():
        data = tf.io.decode_raw(tf.strings.substr(encoded, 0, 24), tf.uint8)
        return True, _number(tf, data, 16, 4, big=True), _number(tf, data, 20, 4, big=True), encoded

    def jpeg():
        shape = tf.io.extract_jpeg_shape(encoded, tf.int64)
        return True, shape[0], shape[1], encoded

    def gif():
        whole, height, width, end = _first_frame(tf, tf.io.decode_raw(encoded, tf.uint8))
        frame = tf.strings.substr(encoded, 0, tf.cast(end, tf.int32))
        return whole, height, width, frame + b"\x3b"

    def bmp():
        data = tf.io.decode_raw(tf.strings.substr(encoded, 0, 34), tf.uint8)
        height, width = (tf.bitcast(tf.cast(_number(tf, data, at, 4), tf.uint32), tf.int32)
                         for at in (22, 18))
        # the palettes that `_upright` reads: none of OS/2's headers, no run lengths
        known = (_number(tf, data, 28, 2) != 8) | (
            (_number(tf, data, 14, 4) >= 40) & (_number(tf, data, 30, 4) == 0))
        return known, tf.abs(tf.cast(height, tf.int64)), tf.cast(width, tf.int64), encoded

    def unknown():
        return False, tf.constant(0, tf.int64), tf.constant(0, tf.int64), encoded

    def starts(*magic):
        return tf.reduce_any([tf.strings.substr(encoded, 0, len(m)) == m for m in magic])

    return tf.case([(starts(b"\xff\xd8\xff"), jpeg), (starts(b"\x89PNG\r\n\x1a\n"), png),
                    (starts(b"GIF87a", b"GIF89a"), gif), (starts(b"BM"), bmp)], default=unknown)


def _number(tf, data, at, count, big=False):
    """The unsigned integers of `count` bytes at places, int64; bytes past the end are zeros."""
    places = tf.cast(at, tf.int64)[..., tf.newaxis] + tf.range(count, dtype=tf.int64)
    last = tf.size(data, out_type=tf.int64) - 1
    values = tf.gather(data, tf.clip_by_value(places, 0, last))
    values = tf.where(places <= last, tf.cast(values, tf.int64), 0)
    powers = [256 ** k for k in range(count)]
    return tf.reduce_sum(values * tf.constant(powers[::-1] if big else powers, tf.int64), -1)


def _first_frame(tf, data):
    """`(whole, height, width, end)` of the first frame of a GIF; the larger of frame and canvas.

    Decoding would unpack all frames, and a small file can hold very many.
    """
    def table(flags):  # bytes of a colour table
        return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)

    def blocks(at):  # skips blocks, up to and with the empty one
        return tf.while_loop(
            lambda at: (_number(tf, data, at, 1) > 0),
            lambda at: (at + 1 + _number(tf, data, at, 1),), (at,),
            maximum_iterations=_MAX_BLOCKS)[0] + 1

    # extensions that come before the first image: 0x21, label, blocks
    start = 13 + table(_number(tf, data, 10, 1))
    at = tf.while_loop(lambda at: _number(tf, data, at, 1) == 0x21,
                       lambda at: (blocks(at + 2),), (start,),
                       maximum_iterations=_MAX_SEGMENTS)[0]
    height = tf.maximum(_number(tf, data, 8, 2), _number(tf, data, at + 7, 2))
    width = tf.maximum(_number(tf, data, 6, 2), _number(tf, data, at + 5, 2))
    end = blocks(at + 11 + table(_number(tf, data, at + 9, 1)))
    whole = ((_number(tf, data, at, 1) == 0x2C) & (end <= tf.size(data, out_type=tf.int64))
             & (_number(tf, data, end - 1, 1) == 0))
    return whole, height, width, end


def _orientation(tf, data):
    """The EXIF orientation of a JPEG, 1 to 8; 1 (upright) where none is said.

    EXIF is the segment 0xFFE1 that starts with "Exif": a TIFF header, then the first directory,
    entries of 12 bytes (tag, type, count, value); the tag is 0x0112 (JEITA CP-3451, section 4.6).
    """
    size = tf.size(data, out_type=tf.int64)

    def segment(at, found):
        marker = _number(tf, data, at + 1, 1)
        length = _number(tf, data, at + 2, 2, big=True)
        exif = (marker == 0xE1) & (_number(tf, data, at + 4, 6, big=True) == 0x457869660000)
        found = tf.where(exif, at + 10, found)
        last = exif | (marker == 0xDA) | (length < 2)  # from 0xDA on there are pixels
        after = tf.where(marker == 0xFF, at + 1, at + 2 + length)
        return tf.where(last & (marker != 0xFF), size, after), found

    two, none = tf.constant(2, tf.int64), tf.constant(-1, tf.int64)
    _, start = tf.while_loop(lambda at, found: _number(tf, data, at, 1) == 0xFF, segment,
                             (two, none), maximum_iterations=_MAX_SEGMENTS)
    big = _number(tf, data, start, 2, big=True) == 0x4D4D  # "MM"

    def number(at, count):
        return tf.where(big, _number(tf, data, at, count, big=True), _number(tf, data, at, count))

    directory = start + number(start + 4, 4)
    count = tf.minimum(number(directory, 2), _MAX_SEGMENTS)
    entries = directory + 2 + 12 * tf.range(count)
    said = tf.where(number(entries + 2, 2) == 4, number(entries + 8, 4), number(entries + 8, 2))
    said = tf.reduce_max(tf.where(number(entries, 2) == 0x0112, said, 0))
    return tf.where((start >= 0) & (said >= 1) & (said <= 8), said, 1)


def _upright(tf, encoded):
    """Encoded bytes to uint8 `(height, width, 3)` as it is meant to be seen."""
    def jpeg():
        image = tf.io.decode_jpeg(encoded, channels=3)
        data = tf.io.decode_raw(tf.strings.substr(encoded, 0, 1 << 17), tf.uint8)
        # the walk is slow, and few pictures hold "Exif" at all
        exif = tf.reduce_all([data[k:k - 3 or None] == letter for k, letter in enumerate(b"Exif")],
                             axis=0)
        turn = tf.cond(tf.reduce_any(exif), lambda: _orientation(tf, data),
                       lambda: tf.constant(1, tf.int64))

        def where(values, change, image):
            return tf.cond(tf.reduce_any(turn == tf.constant(values, tf.int64)),
                           lambda: change(image), lambda: image)

        image = where([5, 6, 7, 8], lambda x: tf.transpose(x, (1, 0, 2)), image)
        image = where([2, 3, 6, 7], lambda x: tf.reverse(x, (1,)), image)
        return where([3, 4, 7, 8], lambda x: tf.reverse(x, (0,)), image)

    def png():
        image = tf.io.decode_png(encoded, channels=4)
        color, alpha = image[..., :3], image[..., 3:]
        # Where a picture of 1, 2 or 4 bits says nothing of transparency, the decoder gives the
        # largest number of that many bits.
        bits = tf.minimum(tf.io.decode_raw(tf.strings.substr(encoded, 24, 1), tf.uint8)[0], 8)
        opaque = tf.cast(2 ** tf.cast(bits, tf.int32) - 1, tf.uint8)

        def on_white():
            a = tf.cast(alpha, tf.uint16)
            return tf.cast((tf.cast(color, tf.uint16) * a + 255 * (255 - a) + 127) // 255, tf.uint8)

        return tf.cond(tf.reduce_all(alpha == opaque), lambda: color, on_white)

    def colours_of_a_bmp():
        indices = tf.io.decode_bmp(encoded)[..., 0]  # one channel, as the file has
        data = tf.io.decode_raw(tf.strings.substr(encoded, 0, 1 << 12), tf.uint8)
        start = 14 + _number(tf, data, 14, 4)  # behind both headers: blue, green, red, nothing
        palette = tf.stack([_number(tf, data, start + 4 * tf.range(256, dtype=tf.int64) + k, 1)
                            for k in (2, 1, 0)], -1)
        return tf.gather(tf.cast(palette, tf.uint8), tf.cast(indices, tf.int32))

    def other():
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return tf.ensure_shape(image, (None, None, 3))

    first, bits = tf.strings.substr(encoded, 0, 1), tf.strings.substr(encoded, 28, 2)
    return tf.case([(first == b"\xff", jpeg), (first == b"\x89", png),
                    ((first == b"B") & (bits == b"\x08\0"), colours_of_a_bmp)], default=other)


def _square(tf, image, size):
    """uint8 `(height, width, 3)` to its central square of `size` pixels."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top:top + side, left:left + side]
    image = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.floor(tf.clip_by_value(image, 0.0, 255.0) + 0.5), tf.uint8)
