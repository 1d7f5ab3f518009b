"""Weights of a SavedModel that lie in an `.npz` among its assets and are unpacked at loading."""

import io
import struct
import zipfile

import numpy as np
import tensorflow as tf

_GZIP = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no name, no time, unknown system
_LOCAL = struct.Struct("<26xHH")  # of a zip member: its name and extra field follow in the file


class Unpacked(tf.Module):
    """Variables that the initialisation of a SavedModel fills from arrays of an `.npz`.

    The file becomes an asset, as it is: arrays are found by their place in it, which is written
    into the graph, and inflated by TensorFlow's own ops. So an array is on disk once, as small as
    the `.npz` has it, and loads wherever a SavedModel does: in Python, in TF Serving, through the
    C API. In the checkpoint each variable is a single zero; once loaded they are float32
    variables like any others. In the process that saves they stay zeros.

    Args:
        path: the `.npz`, as `numpy.savez` or `numpy.savez_compressed` writes it.
        names: of the arrays, in the order of `tensors`.

    Raises:
        ValueError: for an array that the file lacks, or that is none of numbers in C order.
    """

    def __init__(self, path, names):
        super().__init__()
        self._arrays = _arrays(path, names)
        self._file = tf.saved_model.Asset(str(path))
        # of any shape, so that one zero stands for each in the checkpoint
        self._values = [tf.Variable(0.0, shape=tf.TensorShape(None), trainable=False)
                        for _ in names]
        self._filling = _Initialised(self._fill)

    def tensors(self):
        """The float32 values, in the order of the names, for use in a graph."""
        return [tf.ensure_shape(value, shape)
                for value, (_, shape, *_) in zip(self._values, self._arrays, strict=True)]

    def _fill(self):
        file = tf.io.read_file(self._file.asset_path)
        for value, (dtype, shape, head, first, size, tail) in zip(
                self._values, self._arrays, strict=True):
            array = tf.strings.substr(file, first, size)
            if tail is not None:  # deflated: between gzip's head and tail it is a gzip file
                array = tf.io.decode_compressed(tf.strings.join([_GZIP, array, tail]), "GZIP")
            count = int(np.prod(shape)) * dtype.size
            numbers = tf.io.decode_raw(tf.strings.substr(array, head, count), dtype)
            value.assign(tf.cast(tf.reshape(numbers, shape), tf.float32))


class _Initialised(tf.saved_model.experimental.TrackableResource):
    """What every loader of SavedModels calls once, after the checkpoint was read."""

    def __init__(self, initialize):
        super().__init__()
        self._initialize = initialize

    def _create_resource(self):  # what is tracked has a handle; nobody asks for this one
        return tf.raw_ops.AnonymousMutableDenseHashTable(
            empty_key=tf.constant(0, tf.int64), deleted_key=tf.constant(1, tf.int64),
            value_dtype=tf.int64)


def _arrays(path, names):
    """Of each array: dtype, shape, bytes before its numbers, place and size in the file, and tail.

    The tail is gzip's, checksum and length, and None where the file holds the array as it is.
    """
    found = []
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        known = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        for name in names:
            if name not in known:
                raise ValueError(f"there is no such array in {path}. Received: {name}")
            member = known[name]
            with archive.open(member) as array:
                head = io.BytesIO(array.read(1 << 12))  # one of numbers is much shorter
            version = np.lib.format.read_magic(head)
            read = {(1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(head)
            if fortran or dtype.kind not in "fiu":
                raise ValueError("weights are arrays of numbers in C order. "
                                 f"Received: {name}, {dtype}{' in Fortran order' * fortran}")
            file.seek(member.header_offset)
            first = member.header_offset + _LOCAL.size + sum(_LOCAL.unpack(file.read(_LOCAL.size)))
            tail = (None if member.compress_type == zipfile.ZIP_STORED
                    else struct.pack("<II", member.CRC, member.file_size % (1 << 32)))
            found.append((tf.as_dtype(dtype), shape, head.tell(), first, member.compress_size,
                          tail))
    return found
