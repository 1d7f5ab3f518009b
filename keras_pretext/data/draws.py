"""Counter-based random numbers: a pure function of (seed, epoch, example index).

Philox4x32-10 (Salmon et al., SC 2011), the same bits from NumPy and from TensorFlow, so that an
example gives the same puzzle on any number of workers, after any restart and on any backend.
"""

import numpy as np

_ROUND_A, _ROUND_B = 0xD2511F53, 0xCD9E8D57
_KEY_A, _KEY_B = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


class _NumPy:
    """The five operations that Philox needs, on uint64 arrays."""

    asarray = staticmethod(lambda x: np.asarray(x).astype(np.uint64))
    number = staticmethod(np.uint64)
    xor, both = staticmethod(np.bitwise_xor), staticmethod(np.bitwise_and)
    right = staticmethod(lambda x: x >> np.uint64(32))
    stack = staticmethod(lambda xs: np.stack(np.broadcast_arrays(*xs), -1))
    float = staticmethod(lambda x: (x >> np.uint64(8)).astype(np.float32) * np.float32(2**-24))
    where = staticmethod(np.where)


def _tensorflow():
    import tensorflow as tf

    class TensorFlow:
        @staticmethod
        def asarray(x):
            return tf.cast(x, tf.uint64)

        @staticmethod
        def number(x):
            return tf.constant(x, tf.uint64)

        xor, both = staticmethod(tf.bitwise.bitwise_xor), staticmethod(tf.bitwise.bitwise_and)

        @staticmethod
        def right(x):
            return tf.bitwise.right_shift(x, tf.cast(tf.fill(tf.shape(x), 32), tf.uint64))

        @staticmethod
        def stack(xs):
            shape = tf.shape(xs[0])
            for x in xs[1:]:
                shape = tf.broadcast_dynamic_shape(shape, tf.shape(x))
            return tf.stack([tf.broadcast_to(x, shape) for x in xs], -1)

        @staticmethod
        def float(x):
            high = tf.bitwise.right_shift(x, tf.cast(tf.fill(tf.shape(x), 8), tf.uint64))
            return tf.cast(tf.cast(high, tf.int32), tf.float32) * 2.0**-24

    return TensorFlow


def _philox(xp, counter, key):
    """Four uint64 arrays that hold 32 random bits each."""
    a, b, c, d = counter
    first, second = key
    low = xp.number(_LOW)
    for _ in range(10):
        left, right = a * xp.number(_ROUND_A), c * xp.number(_ROUND_B)
        a, b, c, d = (xp.xor(xp.xor(xp.right(right), b), first), xp.both(right, low),
                      xp.xor(xp.xor(xp.right(left), d), second), xp.both(left, low))
        first = xp.both(first + xp.number(_KEY_A), low)
        second = xp.both(second + xp.number(_KEY_B), low)
    return a, b, c, d


def _words(xp, seed, epoch, index, block):
    """Four 32-bit words for every (index, block) pair; a new stream for every seed and epoch."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is an integer in [0, 2**32). Received: {seed!r}")
    index, block, epoch = xp.asarray(index), xp.asarray(block), xp.asarray(epoch)
    zero = (index + block) * xp.number(0)
    low = xp.number(_LOW)
    return _philox(xp, (xp.both(index, low) + zero, xp.right(index + zero), block + zero,
                        zero + xp.number(0x6B70)), (zero + xp.number(seed), epoch + zero))


def _is_tensor(x):
    return type(x).__module__.startswith("tensorflow")


def draws(seed, epoch, index, num):
    """Uniform numbers for examples, the only randomness a pretext task has.

    Args:
        seed: integer in [0, 2**32).
        epoch: integer, or an integer array or tensor that broadcasts with `index`.
        index: integer array or tensor of any shape: the examples' places in the data set.
        num: how many numbers an example needs.

    Returns:
        float32 `index.shape + (num,)` in [0, 1), a NumPy array or, where `index` or `epoch` is a
        TensorFlow tensor, a tensor with the same values.
    """
    blocks = np.arange(max(1, -(-num // 4)))
    if _is_tensor(index) or _is_tensor(epoch):
        import tensorflow as tf

        xp, index, epoch = _tensorflow(), tf.convert_to_tensor(index), tf.convert_to_tensor(epoch)
        words = xp.stack(_words(xp, seed, epoch[..., None], index[..., None], blocks))
        shape = tf.concat([tf.shape(words)[:-2], [4 * len(blocks)]], 0)
        out = xp.float(tf.reshape(words, shape))[..., :num]
        return tf.ensure_shape(out, [*index.shape.as_list(), num] if index.shape.rank else [num])
    xp, index, epoch = _NumPy, np.asarray(index), np.asarray(epoch)
    words = xp.stack(_words(xp, seed, epoch[..., None], index[..., None], blocks))
    return xp.float(words.reshape(*words.shape[:-2], 4 * len(blocks))[..., :num])


def order(num_examples, seed, epoch):
    """The order in which an epoch visits the examples: int64 permutation of `num_examples`.

    A NumPy array or, where `epoch` is a TensorFlow tensor, a tensor with the same values.
    """
    if _is_tensor(epoch):
        import tensorflow as tf

        xp, places = _tensorflow(), tf.range(num_examples, dtype=tf.int64)
        high, low, _, _ = _words(xp, seed, epoch, places, tf.constant(1 << 20, tf.int64))
        # int64 sorts like uint64 where the first bit is the other one
        high = tf.bitwise.bitwise_xor(high, xp.number(1 << 31))
        shift = tf.fill(tf.shape(high), xp.number(32))
        keys = tf.bitwise.bitwise_or(tf.bitwise.left_shift(high, shift), low)
        return tf.cast(tf.argsort(tf.bitcast(keys, tf.int64), stable=True), tf.int64)
    high, low, _, _ = _words(_NumPy, seed, epoch, np.arange(num_examples), np.array(1 << 20))
    return np.argsort((high << np.uint64(32)) | low, kind="stable").astype(np.int64)
