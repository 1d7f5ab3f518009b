"""From an encoder's code back to pixels: the generators and the discriminator of Pathak et al.

CVPR 2016, section 3, and the released code. Pixels are in [-1, 1].
"""

import math

import keras
from keras import layers

from keras_pretext.backbones.context_encoder import activated, convolution, normalization
from keras_pretext.layers.channelwise_dense import ChannelwiseDense
from keras_pretext.layers.resample import Resample


def decode(x, size, width=64, channelwise=True):
    """Pixels `(batch, size, size, 3)`, float32, from a tap's maps `(batch, n, n, m)`.

    A code of 1x1 goes through 4x4 up-convolutions with batch normalisation and ReLU (the
    inpainting network); maps through the channel-wise fully connected layer, a 1x1 convolution
    that mixes them, and 5x5 up-convolutions with ReLU (the network for features). The number of
    up-convolutions, each of which doubles the side, is the one that comes nearest to `size`; where
    they do not meet it, the result is resampled.

    Args:
        width: channels of the last hidden up-convolution of a code's decoder.
        channelwise: False leaves the channel-wise layer out.
    """
    side = x.shape[1]
    if side == 1:
        x = _up(8 * width, 1, "decode0", padding="valid")(x)
        x = layers.ReLU(name="decode0_relu")(normalization("decode0")(x))
        count = max(1, math.ceil(math.log2(size / 4)))
        for k, more in enumerate(([4 * width, 2 * width] + [width] * count)[:count - 1], 1):
            x = normalization(f"decode{k}")(_up(more, 2, f"decode{k}")(x))
            x = layers.ReLU(name=f"decode{k}_relu")(x)
        x = _up(3, 2, "decode_pixels")(x)
    else:
        if channelwise:
            x = ChannelwiseDense(name="channelwise")(x)
            x = layers.Conv2D(x.shape[-1], 1, activation="relu", name="mix",
                              kernel_initializer="he_normal")(x)
        count = max(1, round(math.log2(size / side)))
        widths = (128, 64, 64, 32)[-(count - 1):] if count > 1 else ()
        for k, more in enumerate(widths, 1):
            x = layers.Conv2DTranspose(more, 5, 2, "same", activation="relu", name=f"decode{k}",
                                       kernel_initializer="he_normal")(x)
        x = layers.Conv2DTranspose(3, 5, 2, "same", name="decode_pixels",
                                   kernel_initializer="glorot_normal")(x)
    if x.shape[1] != size:
        x = Resample(size, name="decode_size", dtype="float32")(x)
    return layers.Activation("tanh", dtype="float32", name="pixels")(x)


def discriminator(size, width=64):
    """A model from pixels `(batch, size, size, 3)` in [-1, 1] to a logit `(batch, 1)`: real?

    4x4 convolutions of stride 2 while the maps are larger than 4x4 (64, 128, 256, 512 channels),
    then one over all of what is left.
    """
    x = inputs = keras.Input((size, size, 3), name="region")
    k = 0
    while x.shape[1] >= 8:
        k += 1
        x = layers.ZeroPadding2D(1, name=f"judge{k}_pad")(x)
        x = convolution(width * min(2 ** (k - 1), 8), 2, f"judge{k}")(x)
        x = activated(x, f"judge{k}", norm=k > 1)
    x = convolution(1, 1, "judge", kernel=x.shape[1])(x)
    x = layers.Flatten(dtype="float32", name="real")(x)
    return keras.Model(inputs, x, name="discriminator")


def _up(width, stride, name, padding="same"):
    return layers.Conv2DTranspose(width, 4, stride, padding, use_bias=False, name=name,
                                  kernel_initializer=keras.initializers.RandomNormal(stddev=0.02))
