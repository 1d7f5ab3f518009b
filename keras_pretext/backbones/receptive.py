"""Receptive fields: the pixels that a cell of a feature map sees, by arithmetic on the layers."""

import dataclasses

import keras

# what works on every cell by itself
_CELLWISE = {"Activation", "Add", "BatchNormalization", "Concatenate", "Dropout", "ELU",
             "Identity", "InputLayer", "Lab", "LeakyReLU", "LocalResponseNormalization",
             "Maximum", "Multiply", "PReLU", "PixelNormalization", "ReLU", "Rescaling", "Relu",
             "SpatialDropout2D", "Subtract"}


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """Cell `(i, j)` sees the pixels `first + i * stride` to `first + i * stride + size - 1`.

    Columns are as rows. Pixels outside the picture are padding.
    """

    size: int
    stride: int
    first: int

    @property
    def centre(self):
        """The pixel that cell 0 is centred on; between two of them it is a half."""
        return self.first + (self.size - 1) / 2

    def box(self, row, column):
        """`(top, left, bottom, right)`, bottom and right exclusive; it may leave the picture."""
        top, left = (self.first + self.stride * k for k in (row, column))
        return top, left, top + self.size, left + self.size


def receptive_field(backbone, tap, image_size):
    """What a cell of a tap sees of a square picture.

    Args:
        backbone: a Backbone of convolutions, poolings, paddings and layers that work on every
            cell by itself.
        tap: its name.
        image_size: side in pixels ("same" padding with strides depends on it).

    Returns:
        ReceptiveField.

    Raises:
        ValueError: for an unknown tap, or a layer of which it cannot be told.
    """
    backbone.extractor(tap)  # tells an unknown tap
    output = backbone.output[tap]
    # of every tensor: cells on a side, stride, first and last pixel of cell 0
    known = {id(backbone.inputs[0]): (image_size, 1, 0, 0)}
    for operation in backbone.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        given = [known.get(id(t)) for t in keras.tree.flatten(operation.input)]
        if None in given:
            continue
        cells, stride = given[0][:2]
        first, last = min(g[2] for g in given), max(g[3] for g in given)
        if any(g[:2] != (cells, stride) for g in given):
            raise ValueError("maps of one size are joined; else no single receptive field exists. "
                             f"Received: {operation.name!r} of {backbone.name}")
        found = _through(operation, cells, stride, first, last)
        for tensor in keras.tree.flatten(operation.output):
            known[id(tensor)] = found
    if id(output) not in known:
        raise ValueError("the receptive field is told of convolutions, poolings, paddings and "
                         f"layers that work on every cell by itself. Received: {backbone.name}")
    cells, stride, first, last = known[id(output)]
    if cells < 1:
        raise ValueError(f"a picture of {image_size} pixels leaves nothing of tap {tap!r}. "
                         f"Received: image_size={image_size}")
    return ReceptiveField(last - first + 1, stride, first)


def _through(operation, cells, stride, first, last):
    """What `receptive_field` knows of a tensor, behind one operation."""
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.ZeroPadding2D):
        (before, after), across = operation.padding
        if (before, after) != tuple(across):
            raise ValueError("rows and columns are padded alike. "
                             f"Received: {operation.padding} by {operation.name!r}")
        return cells + before + after, stride, first - before * stride, last - before * stride
    if kind == "Sobel":
        return cells, stride, first - stride, last + stride
    window = None
    if isinstance(operation, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
        if "Transpose" not in kind:
            window = operation.kernel_size, operation.strides, operation.dilation_rate
    elif isinstance(operation, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
        window = operation.pool_size, operation.strides, (1, 1)
    if window is None:
        if kind in _CELLWISE:
            return cells, stride, first, last
        raise ValueError("the receptive field is told of convolutions, poolings, paddings and "
                         "layers that work on every cell by itself. "
                         f"Received: {operation.name!r}, a {kind}")
    kernel, step, dilation = (n[0] if isinstance(n, tuple | list) else n for n in window)
    if any(isinstance(n, tuple | list) and len(set(n)) > 1 for n in window):
        raise ValueError(f"windows are square. Received: {window} of {operation.name!r}")
    reach = (kernel - 1) * dilation + 1
    if operation.padding == "same":
        after = -(-cells // step)
        before = max((after - 1) * step + reach - cells, 0) // 2
    else:
        after, before = (cells - reach) // step + 1, 0
    first -= before * stride
    return after, stride * step, first, last - before * stride + (reach - 1) * stride
