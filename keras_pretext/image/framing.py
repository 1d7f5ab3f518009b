"""Framing: how an image of any size becomes the square picture that a task works on.

A framing names a window of the image as a pure function of the image's size and a few draws, so
that a decoder can read only that window. `framing(image, draws)` does the whole of it in
`keras.ops`, for one image or a batch, on any backend.
"""

import math
import numbers

import keras
from keras import ops

from keras_pretext.registry import Registry

registry = Registry("framing")


def resample(images, top, left, height, width, size):
    """A window of each image at another size: bilinear, antialiased, nothing read outside it.

    What of the window lies outside the image is black.

    Args:
        images: `(batch, H, W, C)`, any dtype.
        top, left, height, width: int32 `(batch,)`, in pixels.
        size: side of the result.

    Returns:
        float32 `(batch, size, size, C)`.
    """
    def weights(start, extent, length):
        start, extent = ops.cast(start, "float32")[:, None], ops.cast(extent, "float32")[:, None]
        scale = extent / size
        centre = (ops.arange(size, dtype="float32") + 0.5)[None] * scale + start
        position = ops.arange(length, dtype="float32") + 0.5
        reach = ops.maximum(scale, 1.0)[:, :, None]
        kernel = ops.maximum(1.0 - ops.abs(position - centre[:, :, None]) / reach, 0.0)
        inside = (position >= start) & (position <= start + extent)
        kernel = kernel * ops.cast(inside, "float32")[:, None, :]
        return kernel / ops.maximum(ops.sum(kernel, -1, keepdims=True), 1e-6)

    shape = ops.shape(images)
    rows, columns = weights(top, height, shape[1]), weights(left, width, shape[2])
    x = ops.cast(images, "float32")
    x = ops.matmul(rows, ops.reshape(x, (shape[0], shape[1], -1)))
    x = ops.reshape(x, (shape[0], size, shape[2], shape[3]))
    return ops.einsum("bxw,bywc->byxc", columns, x)


def to_uint8(images):
    """Floats in 0..255 to uint8, rounded half up."""
    return ops.cast(ops.floor(ops.clip(images, 0.0, 255.0) + 0.5), "uint8")


class Framing:
    """Base: `size`, `num_draws`, `inside`, `window(height, width, draws)`, and the call."""

    num_draws = 0
    inside = True  # False: windows may reach out of the picture

    def window(self, height, width, draws):
        """`(top, left, height, width)`, int32 source pixels, for sizes and draws that broadcast.

        Args:
            height, width: int32, the image's size.
            draws: float32 `(..., num_draws)` in [0, 1).
        """
        raise NotImplementedError

    def evaluation(self):
        """The deterministic counterpart: what test images go through."""
        return self

    def __call__(self, images, draws):
        """uint8 `(H, W, 3)` and `(num_draws,)`, or batches of both, to uint8 `(.., size, size, 3)`.
        """
        single = len(images.shape) == 3
        if single:
            images, draws = images[None], draws[None]
        shape = ops.shape(images)
        zeros = ops.zeros((shape[0],), "int32")
        window = self.window(zeros + shape[1], zeros + shape[2], draws)
        window = [ops.broadcast_to(w, (shape[0],)) for w in window]
        if ops.is_tensor(images) or not single:
            channels = images.shape[-1]
        else:
            channels = shape[3]
        out = to_uint8(resample(images, *window, self.size))
        out = ops.reshape(out, (-1, self.size, self.size, channels))
        return out[0] if single else out

    def get_config(self):
        raise NotImplementedError

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash(str(serialize(self)))


def get(framing):
    """A framing from its config `{"kind": name, ...}`; a framing is returned as it is."""
    if isinstance(framing, Framing):
        return framing
    if not isinstance(framing, dict) or "kind" not in framing:
        raise ValueError(f"a framing is a Framing or a dict with a 'kind' among "
                         f"{', '.join(registry.names())}. Received: {framing!r}")
    config = dict(framing)
    return registry.get(config.pop("kind"))(**config)


def checked_side(image_size):
    """The same, an int. Raises ValueError for what is no side of a picture in pixels."""
    if isinstance(image_size, bool) or not isinstance(image_size, numbers.Integral) or (
            image_size < 1):
        raise ValueError("image_size is a whole number of pixels, at least 1. "
                         f"Received: {image_size!r}")
    return int(image_size)


def of_size(framing, size):
    """As `get`; raises ValueError where pictures would not have the task's `image_size`."""
    checked_side(size)
    framing = get(framing)
    if framing.size != size:
        raise ValueError(f"the framing's size is the image_size, {size}. Received: {framing.size}")
    return framing


def crops(size):
    """What most tasks take by default: padded crops up to 64 pixels, resized ones above."""
    return PadCrop(size) if size <= 64 else RandomResizedCrop(size)


def serialize(framing):
    """The config that `get` takes."""
    kind = next(n for n in registry.names() if registry.get(n) is type(framing))
    return {"kind": kind, **framing.get_config()}


def _whole(x):
    return ops.cast(ops.floor(x), "int32")


def _centred_square(height, width, extent):
    """The window of a centred square of side `extent` (float), at least one pixel."""
    side = ops.maximum(_whole(extent + 0.5), 1)
    return (height - side) // 2, (width - side) // 2, side, side


@registry.register("centre_crop")
class CentreCrop(Framing):
    """Resize the short side to `resize`, then crop the central `size` square."""

    def __init__(self, size, resize=None):
        self.size, self.resize = int(size), int(resize or size)
        if self.resize < self.size:
            raise ValueError(f"resize is at least size. Received: {resize} and {size}")

    def window(self, height, width, draws):
        short = ops.cast(ops.minimum(height, width), "float32")
        return _centred_square(height, width, short * (self.size / self.resize))

    def get_config(self):
        return {"size": self.size, "resize": self.resize}


@registry.register("resize_crop")
class ResizeCrop(CentreCrop):
    """Resize the short side to `resize`, then crop a `size` square anywhere in the image."""

    num_draws = 2

    def window(self, height, width, draws):
        _, _, side, _ = super().window(height, width, draws)
        room = [ops.cast(extent - side + 1, "float32") for extent in (height, width)]
        return _whole(draws[..., 0] * room[0]), _whole(draws[..., 1] * room[1]), side, side

    def evaluation(self):
        return CentreCrop(self.size, self.resize)


@registry.register("grid_crop")
class GridCrop(CentreCrop):
    """Resize the short side to `resize`, then crop a `size` square of which all cells are alike.

    The side of the square is made a multiple of `cells` in the source as well. So every cell of a
    `cells` by `cells` grid begins at a whole pixel of the source, and resampling leaves the same
    pattern in each: from another pattern a network tells the cells even in noise.

    Args:
        size, resize: as for `CentreCrop`; size is a multiple of cells.
        cells: along a side.
        centred: the central square, else one anywhere in the image.
    """

    def __init__(self, size, resize=None, cells=3, centred=False):
        super().__init__(size, resize)
        if self.size % cells:
            raise ValueError("size is a multiple of cells. "
                             f"Received: size={size}, cells={cells}")
        self.cells, self.centred = int(cells), bool(centred)
        self.num_draws = 0 if centred else 2

    def window(self, height, width, draws):
        _, _, side, _ = super().window(height, width, draws)
        side = ops.minimum(ops.maximum(side // self.cells, 1) * self.cells,
                           ops.minimum(height, width))
        if self.centred:
            return (height - side) // 2, (width - side) // 2, side, side
        room = [ops.cast(extent - side + 1, "float32") for extent in (height, width)]
        return _whole(draws[..., 0] * room[0]), _whole(draws[..., 1] * room[1]), side, side

    def __call__(self, images, draws):
        extents = [extent for extent in images.shape[-3:-1] if isinstance(extent, int)]
        if extents and min(extents) < self.cells:
            raise ValueError(f"{self.cells} cells along a side need {self.cells} pixels or more. "
                             f"Received: a picture of {'x'.join(map(str, extents))}")
        return super().__call__(images, draws)

    def evaluation(self):
        return GridCrop(self.size, self.resize, self.cells, centred=True)

    def get_config(self):
        return {**super().get_config(), "cells": self.cells, "centred": self.centred}


@registry.register("pad_crop")
class PadCrop(Framing):
    """The short side to `size`, `pad` black pixels around, a random `size` square of that.

    On images of exactly `size` pixels this is the usual CIFAR augmentation (RotNet's code).
    """

    num_draws = 2
    inside = False

    def __init__(self, size, pad=4):
        self.size, self.pad = int(size), int(pad)

    def window(self, height, width, draws):
        short = ops.minimum(height, width)
        pad = short * self.pad // self.size
        top, left = (height - short) // 2, (width - short) // 2
        places = ops.cast(2 * pad + 1, "float32")
        shift = [_whole(draws[..., k] * places) - pad for k in (0, 1)]
        return top + shift[0], left + shift[1], short, short

    def evaluation(self):
        return CentreCrop(self.size)

    def get_config(self):
        return {"size": self.size, "pad": self.pad}


@registry.register("area_crop")
class AreaCrop(Framing):
    """Resize the whole image to an area uniform in `area`, then crop a `size` square anywhere.

    The aspect ratio stays (Doersch et al., 2015, resize to 150,000 to 450,000 pixels). Areas at
    which the short side would be less than `size` are left out; where all are, that side is `size`.

    Args:
        size: side of the square in pixels.
        area: of the whole resized image, in pixels.
        margin: share of the image's short side that is never shown, along each of its sides: a
            black border tells where in the picture a patch was.
    """

    num_draws = 3

    def __init__(self, size, area=(150_000, 450_000), margin=0.0):
        self.size, self.area, self.margin = int(size), tuple(area), float(margin)
        if not 0 < self.area[0] <= self.area[1]:
            raise ValueError(f"area is a range of pixel counts. Received: {area!r}")
        if not 0 <= self.margin < 0.5:
            raise ValueError(f"margin is a share in [0, 0.5). Received: {margin!r}")

    def window(self, height, width, draws):
        low, high = self.area
        short = ops.minimum(height, width)
        edge = _whole(ops.ceil(self.margin * ops.cast(short, "float32")))
        full = ops.cast(height, "float32") * ops.cast(width, "float32")
        most = ops.maximum(1, short - 2 * edge)
        low = ops.maximum(low, full * (self.size / ops.cast(most, "float32")) ** 2)
        area = low + ops.maximum(high - low, 0.0) * draws[..., 0]
        side = ops.clip(_whole(self.size * ops.sqrt(full / area) + 0.5), 1, most)
        room = [ops.cast(extent - 2 * edge - side + 1, "float32") for extent in (height, width)]
        return (edge + _whole(draws[..., 1] * room[0]), edge + _whole(draws[..., 2] * room[1]),
                side, side)

    def evaluation(self):
        """The centre of a picture of the middle area and aspect ratio 4:3."""
        short = round(math.sqrt(0.75 * sum(self.area) / 2))
        return CentreCrop(self.size, max(math.ceil(self.size / (1 - 2 * self.margin)), short))

    def get_config(self):
        return {"size": self.size, "area": self.area, "margin": self.margin}


@registry.register("random_resized_crop")
class RandomResizedCrop(Framing):
    """A window of random area and aspect ratio, resized to a square (Szegedy et al., 2015).

    A window that does not fit is cut to the image's sides, instead of drawn again.
    """

    num_draws = 4

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
        self.size, self.scale, self.ratio = int(size), tuple(scale), tuple(ratio)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is a range of areas in (0, 1]. Received: {scale!r}")

    def window(self, height, width, draws):
        full = ops.cast(height, "float32") * ops.cast(width, "float32")
        low, high = self.scale
        area = full * (low + (high - low) * draws[..., 0])
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        root = ops.exp(0.5 * (low + (high - low) * draws[..., 1]))
        side = ops.sqrt(area)
        h = ops.clip(_whole(side / root + 0.5), 1, height)
        w = ops.clip(_whole(side * root + 0.5), 1, width)
        top = _whole(draws[..., 2] * ops.cast(height - h + 1, "float32"))
        left = _whole(draws[..., 3] * ops.cast(width - w + 1, "float32"))
        return top, left, h, w

    def evaluation(self):
        return CentreCrop(self.size, round(self.size * 256 / 224))

    def get_config(self):
        return {"size": self.size, "scale": self.scale, "ratio": self.ratio}


@registry.register("rescale_crop")
class RescaleCrop(Framing):
    """Rescale the image by a random factor, then crop a square anywhere (Krähenbühl et al., 2016).

    A factor s in `scale` (uniform) and a crop of `crop` pixels are a square of crop / s pixels of
    the image; one that is larger than the image is cut to its short side. It is shown at `size`.

    Args:
        crop: side of the crop in pixels of the rescaled image, whatever `size` is.
    """

    num_draws = 3

    def __init__(self, size, scale=(0.5, 2.0), crop=227):
        self.size, self.scale, self.crop = int(size), tuple(scale), int(crop)
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale is a range of positive factors. Received: {scale!r}")

    def window(self, height, width, draws):
        low, high = self.scale
        side = _whole(self.crop / (low + (high - low) * draws[..., 0]) + 0.5)
        side = ops.clip(side, 1, ops.minimum(height, width))
        room = [ops.cast(extent - side + 1, "float32") for extent in (height, width)]
        return (_whole(draws[..., 1] * room[0]), _whole(draws[..., 2] * room[1]), side, side)

    def evaluation(self):
        return CentreCrop(self.size)

    def get_config(self):
        return {"size": self.size, "scale": self.scale, "crop": self.crop}


@keras.saving.register_keras_serializable(package="keras_pretext")
class FramingLayer(keras.layers.Layer):
    """A framing without draws as a Keras layer: images of any size to the evaluation picture."""

    def __init__(self, framing, **kwargs):
        super().__init__(dtype="float32", autocast=False, trainable=False, **kwargs)
        self.framing = get(framing)

    def call(self, images):
        return self.framing(images, ops.zeros((ops.shape(images)[0], 0)))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.framing.size, self.framing.size, input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "framing": serialize(self.framing)}
