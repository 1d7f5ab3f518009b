"""A model's answers for all pictures of a source, in a file instead of in memory."""

import pathlib

import keras
import numpy as np

from keras_pretext.training.pretext_metrics import batches, forward


def written(model, source, layer, path, batch_size=256):
    """Runs a model without training over all pictures and writes what it answers.

    Args:
        model: a Keras model from the layer's inputs to `(batch, width)`.
        source: a `Source`.
        layer: a PretextLayer that `uses_index`, of `task.layer(augment=False)`.
        path: of the `.npy` file, which must not be in use. At no time are more than a few batches
            in memory.
        batch_size: pictures at a time.

    Returns:
        float16 memory map `(n, width)`; row k belongs to example k. Numbers beyond the range of
        float16 are cut to it.

    Raises:
        ValueError: for answers that are not finite.
        OSError: where the file cannot be written.
    """
    path, done = pathlib.Path(path), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    run, shape = forward(model), (source.num_examples, int(model.output_shape[-1]))
    try:
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f2", "fortran_order": False, "shape": shape})
            for inputs, index in batches(source, layer, batch_size, source.num_examples):
                index = keras.ops.convert_to_numpy(index)
                if not np.array_equal(index, np.arange(done, done + len(index))):
                    raise RuntimeError(f"pictures come in the order of the source. Received: "
                                       f"{index} after {done}")
                values = np.asarray(keras.ops.convert_to_numpy(run(inputs)), "float32")
                if not np.isfinite(values).all():
                    raise ValueError("the network's features are not finite numbers; a lower "
                                     "learning rate is the usual remedy. "
                                     f"Received: {model.name} for pictures from {done} on")
                file.write(np.clip(values, -65504, 65504).astype("<f2").tobytes())
                done += len(index)
    except OSError as error:
        path.unlink(missing_ok=True)
        size = f"{shape[0] * shape[1] * 2 / 1e6:.0f} MB"
        raise OSError(error.errno, f"features need {size} of disk and could not be written "
                      f"({error.strerror}). Received", str(path)) from error
    return np.load(path, mmap_mode="r")
