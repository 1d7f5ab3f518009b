"""What every backbone is: a functional Keras model from an image to its taps."""

import collections
import dataclasses

import keras
import numpy as np

from keras_pretext.layers.lab import Lab
from keras_pretext.layers.pixel_normalization import PixelNormalization
from keras_pretext.layers.sobel import Sobel
from keras_pretext.registry import Registry, unknown_name

registry = Registry("backbone")

# RGB, in 0..255. Krizhevsky (2009) CIFAR-10 statistics and the usual ImageNet ones.
CIFAR_MEAN, CIFAR_STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclasses.dataclass(frozen=True)
class Tap:
    """A named feature map: its channels and its stride in input pixels."""

    name: str
    channels: int
    stride: int


class Backbone(keras.Model):
    """A functional model: RGB images, uint8 or float in 0..255, to a dict of feature maps.

    Images are `(batch, height, width, 3)` of any size the strides allow; every tap is
    `(batch, height / stride, width / stride, channels)`. Normalisation is part of the model.

    Args:
        inputs: the KerasTensor of images.
        taps: ordered dict from tap name to `(KerasTensor, stride)`.
    """

    passed_on = ("trainable", "dtype")  # options of every backbone, beside its own

    def __init__(self, inputs, taps, **kwargs):
        super().__init__(inputs=inputs, outputs={n: t for n, (t, _) in taps.items()}, **kwargs)
        self.taps = collections.OrderedDict(
            (n, Tap(n, int(t.shape[-1]), stride)) for n, (t, stride) in taps.items())

    def extractor(self, taps=None, pooling=None):
        """A model from images to the asked taps, sharing this backbone's weights.

        Args:
            taps: a tap name (the model gives a tensor), a list of names or None for all (a dict).
            pooling: None for maps, "avg" or "max" for `(batch, channels)` vectors.

        Raises:
            ValueError: for an unknown tap or pooling.
        """
        names = [taps] if isinstance(taps, str) else [*(self.taps if taps is None else taps)]
        for name in names:
            if name not in self.taps:
                raise ValueError(unknown_name(f"tap of {self.name}", name, self.taps))
        pools = {None: None, "avg": keras.layers.GlobalAveragePooling2D,
                 "max": keras.layers.GlobalMaxPooling2D}
        if pooling not in pools:
            raise ValueError(f"pooling is None, 'avg' or 'max'. Received: {pooling!r}")
        outputs = {n: self.output[n] for n in names}
        if pooling:
            outputs = {n: pools[pooling](dtype="float32", name=f"{n}_{pooling}")(t)
                       for n, t in outputs.items()}
        return keras.Model(self.input, outputs[taps] if isinstance(taps, str) else outputs)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def normalized(images, mean, std, sobel=False, color="RGB"):
    """Images in 0..255 to zero mean and unit deviation per channel, in float32.

    With `sobel` to the two edge maps of that, with another `color` than "RGB" to those channels of
    CIELAB: part of the backbone, so that whoever asks it for features gives it RGB all the same.

    Raises:
        ValueError: for an unknown `color`, or one together with `sobel`.
    """
    if color != "RGB":
        if sobel:
            raise ValueError("sobel is of the mean of RGB, so color stays 'RGB' with it. "
                             f"Received: {color!r}")
        return Lab(color, name="lab")(images)
    x = PixelNormalization(mean, std, name="normalize")(images)
    return Sobel(name="sobel")(x) if sobel else x


def in_color(backbone):
    """A copy of a backbone of lightness (`color="L"`) that sees colour: `color="Lab"`.

    The weights of the two new channels of its first convolution are zero, so its features are
    the same until it is trained further (the "color" rows of Zhang et al., ECCV 2016, Table 2;
    that it was made so is consistent with their numbers, not confirmed).

    Raises:
        ValueError: for a backbone of anything but lightness.
    """
    if getattr(backbone, "color", "RGB") != "L":
        raise ValueError("what becomes a network of colour is one of lightness, color='L'. "
                         f"Received: {backbone.name} with "
                         f"color={getattr(backbone, 'color', 'RGB')!r}")
    wide = type(backbone).from_config({**backbone.get_config(), "color": "Lab"})
    for new, old in zip(wide.weights, backbone.weights, strict=True):
        value = keras.ops.convert_to_numpy(old)
        if new.shape != old.shape:
            value = np.pad(value, [(0, n - o) for n, o in zip(new.shape, old.shape, strict=True)])
        new.assign(value)
    return wide


def backbone_of(model):
    """The backbone of a PretextModel or of what `zoo.load` gives, or the backbone itself.

    Raises:
        ValueError: for a model that has none.
    """
    found = getattr(model, "backbone", model)
    if not hasattr(found, "taps"):
        raise ValueError("a Backbone is asked for, or a model that has one as `.backbone`. "
                         f"Received: {type(model).__name__}")
    return found
