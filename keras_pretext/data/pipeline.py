"""From a source to batches of (inputs, pseudolabels), as a pure function of the step number."""

import itertools
import queue
import threading

import numpy as np

from keras_pretext.data import draws as draw
from keras_pretext.data.masks import seen_by

MEMORY = 1 << 30  # decoded pictures up to this many bytes are kept in memory
SMALL = 96 * 96  # pixels of pictures that are framed in batches: they are quicker than calls
WHOLE = (range(1), 1)  # the share of who takes all of every batch


def steps_per_epoch(num_examples, batch_size):
    """Full batches in an epoch. Raises ValueError where there is not even one."""
    if num_examples < batch_size:
        raise ValueError(f"the batch is larger than the data set: use at most {num_examples}. "
                         f"Received: batch_size={batch_size}")
    return num_examples // batch_size


def index_batches(num_examples, batch_size, seed, start_step=0):
    """Endless `(epoch, indices int64 (batch_size,))` from a step on; the tail of an epoch is left.
    """
    steps = steps_per_epoch(num_examples, batch_size)
    first, skip = divmod(start_step, steps)
    for epoch in itertools.count(first):
        places = draw.order(num_examples, seed, epoch)
        for step in range(skip, steps):
            yield epoch, places[step * batch_size:(step + 1) * batch_size]
        skip = 0


def array_batches(images, layer, batch_size, seed, start_step=0, share=WHOLE):
    """NumPy `(index, images, draws)` for a task layer that runs on the device (any backend).

    Args:
        share: as of `pipeline`, but all parts in one batch.
    """
    count, (which, of) = len(images), share
    for epoch, index in index_batches(count * layer.visits, batch_size, seed, start_step):
        index = np.reshape(index, (of, -1))[which].reshape(-1)
        numbers = draw.draws(seed, epoch, index, layer.num_draws)
        index = np.asarray(layer.shown(epoch, index % count))
        yield index, images[index], numbers


def ahead(items, count=2):
    """The same items; a thread makes the next ones, at most `count`, while the last one is used.

    An error of `items` is raised where its item would come. The thread ends with the generator.
    """
    made, closed = queue.Queue(count), threading.Event()

    def offer(*pair):
        while not closed.is_set():
            try:
                return made.put(pair, timeout=0.1)
            except queue.Full:
                pass

    def make():
        try:
            for item in items:
                offer(item, None)
                if closed.is_set():
                    return
            offer(None, StopIteration())
        except BaseException as error:  # raised where the items are used
            offer(None, error)

    threading.Thread(target=make, name="batches", daemon=True).start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        closed.set()


def held_in_memory(source):
    """Whether a source's decoded pictures agree in size and are few enough to keep."""
    shape = source.uniform_shape
    return shape is not None and source.num_examples * int(np.prod(shape)) <= MEMORY


def _indices(num_examples, batch_size, seed, start_step, which, of):
    """`index_batches` as a tf.data.Dataset without Python, of the parts of each batch asked for."""
    import tensorflow as tf

    steps = steps_per_epoch(num_examples, batch_size)
    first, skip = divmod(start_step, steps)

    def batches(epoch):
        places = draw.order(num_examples, seed, epoch)[:steps * batch_size]
        parts = tf.reshape(places, (steps, of, batch_size // of))
        parts = parts[tf.where(epoch == first, tf.constant(skip, tf.int64), 0):]
        parts = tf.reshape(tf.gather(parts, [*which], axis=1), (-1, batch_size // of))
        epochs = tf.fill(tf.shape(parts)[:1], epoch)
        return tf.data.Dataset.from_tensor_slices((epochs, parts))

    return tf.data.Dataset.range(first, 2**62).flat_map(batches)


def _one_pass(num_examples, batch_size):
    """Index batches that visit every example once, in order; the last may be smaller."""
    import tensorflow as tf

    return tf.data.Dataset.range(num_examples).batch(batch_size).map(
        lambda index: (tf.constant(0, tf.int64), index))


def pipeline(source, layer, batch_size, seed, start_step=0, shuffle=True, steps=None, workers=None,
             share=WHOLE):
    """A tf.data.Dataset of `(inputs, pseudolabels)` batches.

    The stream is a function of `(seed, step)`: to resume is to pass `start_step`. Small
    pictures of one size are batched before the task layer runs; others are decoded (JPEG: only
    the crop) and framed one by one, then batched.

    Args:
        source: a `Source`.
        layer: a task's `PretextLayer`.
        batch_size: images in a batch (a task may make several inputs of each).
        seed: integer in [0, 2**32), of the order and of the draws.
        start_step: the first batch to give.
        shuffle: False visits every example once, in their own order, the tail included.
        steps: how many batches; endless by default.
        workers: parallel decodings; the number of cores by default.
        share: `(which, of)`: every batch is cut into `of` equal parts, and this stream gives
            those that `which` lists, each as a batch of its own. Together the streams of all
            shares hold what one stream without holds. `steps` counts whole batches.
    """
    import os

    import tensorflow as tf

    source, workers = seen_by(source, layer), workers or os.cpu_count()

    examples, (which, of) = source.num_examples, share
    stream = (_indices(examples * layer.visits, batch_size, seed, start_step, which, of)
              if shuffle else _one_pass(examples, batch_size))
    if steps is not None:
        stream = stream.take(steps * len(which))
    batch_size //= of

    labels = tf.constant(source.labels(), tf.int32) if layer.uses_labels else None

    def labelled(index, inputs, pseudolabels):
        if layer.uses_index:
            return inputs, index
        return inputs, pseudolabels if labels is None else tf.gather(labels, index)

    images = tf.constant(source.arrays()[0]) if held_in_memory(source) else None
    if images is not None and images.shape[1] * images.shape[2] <= SMALL:

        def puzzles(epoch, index):
            numbers = draw.draws(seed, epoch, index, layer.num_draws)
            index = layer.shown(epoch, index % source.num_examples)
            return labelled(index, *layer(tf.gather(images, index), numbers))

        stream = stream.map(puzzles, num_parallel_calls=workers, deterministic=True)
    else:
        from keras_pretext.data.decode import crop_framed, decode_framed

        def numbered(epoch, index):  # a batch at a time: the generator is many small operations
            numbers = draw.draws(seed, epoch, index, layer.num_draws)
            return tf.fill(tf.shape(index), epoch), index, numbers

        def picture(epoch, index, numbers):
            index = layer.shown(epoch, index % source.num_examples)
            image = source.fetch(index)["image"] if images is None else tf.gather(images, index)
            framing = layer.framing
            frame = decode_framed if source.encoded and images is None else crop_framed
            image = frame(image, framing, numbers[:framing.num_draws])
            image = tf.ensure_shape(image, (framing.size, framing.size, source.channels))
            return index, (image, numbers) if layer.in_batches else layer.framed(image, numbers)

        stream = stream.map(numbered).unbatch()
        stream = stream.map(picture, num_parallel_calls=workers, deterministic=True)
        stream = stream.batch(batch_size, drop_remainder=shuffle)
        stream = stream.map(lambda index, pair: labelled(
            index, *(layer.framed(*pair) if layer.in_batches else pair)),
            num_parallel_calls=workers, deterministic=True)
    options = tf.data.Options()
    options.autotune.enabled = False  # with it, freeing an iterator stalls (TensorFlow 2.21)
    options.deterministic = True
    return stream.prefetch(2).with_options(options)
