"""The filters of a network's first convolution as a picture."""

import keras
import numpy as np


def first_layer_filters(backbone, gap=1):
    """A grid of the first convolution's filters, each stretched to 0..255 by itself.

    A filter whose batch normalisation has a negative scale is drawn with its sign turned, as it
    acts (the released code of Gidaris et al., ICLR 2018, multiplies by scale / deviation; of a
    filter that is stretched by itself only the sign can be seen).
    Filters that read one or two maps (Sobel input) are shown in grey, of their first map.

    Args:
        backbone: a Keras model with a Conv2D layer.
        gap: white pixels between filters.

    Returns:
        uint8 `(rows * (kernel + gap) + gap, columns * (kernel + gap) + gap, 3)`, filters in
        raster order on a nearly square grid.

    Raises:
        ValueError: where there is no convolution.
    """
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Conv2D):
            break
    else:
        raise ValueError(f"the model has no Conv2D layer. Received: {backbone.name!r}")
    kernel = np.moveaxis(keras.ops.convert_to_numpy(layer.kernel).astype("float32"), -1, 0)
    kernel = kernel * _signs(backbone, layer)[:, None, None, None]
    if kernel.shape[-1] != 3:
        kernel = np.repeat(kernel[..., :1], 3, -1)
    low, high = kernel.min((1, 2, 3), keepdims=True), kernel.max((1, 2, 3), keepdims=True)
    kernel = np.round(255 * (kernel - low) / np.maximum(high - low, 1e-12)).astype("uint8")
    return tiled(kernel, gap)


def _signs(backbone, layer):
    """-1 for the channels of a layer that the normalisation behind it turns over, 1 for others."""
    for other in backbone.layers:
        scale = getattr(other, "gamma", None)
        if scale is not None and other.input is layer.output:
            return np.where(keras.ops.convert_to_numpy(scale) < 0, -1.0, 1.0).astype("float32")
    return np.ones(layer.filters, "float32")


def tiled(pictures, gap=0):
    """uint8 pictures `(n, height, width, 3)` as one, in raster order on a nearly square grid."""
    count, height, width, _ = pictures.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, "uint8")
    for k, picture in enumerate(pictures):
        top, left = gap + k // columns * (height + gap), gap + k % columns * (width + gap)
        sheet[top:top + height, left:left + width] = picture
    return sheet
