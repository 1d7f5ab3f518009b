"""AlexNet in the flavours that the papers' tables mix."""

import dataclasses

import keras
from keras import layers

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalized, registry
from keras_pretext.layers.batch_normalization import BatchNormalization
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D
from keras_pretext.layers.grouped_conv import GroupedConv2D
from keras_pretext.layers.local_response_normalization import LocalResponseNormalization
from keras_pretext.registry import unknown_name


@dataclasses.dataclass(frozen=True)
class Flavour:
    """What tells one AlexNet from another.

    Attributes:
        channels: of conv1 to conv5.
        conv1: stride and padding of the 11x11 convolution.
        groups: of conv2, conv4 and conv5.
        ceil: pooled sizes are rounded up (Caffe) or down (Torch).
        pool_pad: symmetric padding of pool1 and pool2.
        pool5: stride and padding of the last pooling.
        norm: per layer conv1..conv5, fc: "bn" (scale and shift), "bn_plain" (neither) or None.
        lrn: local response normalisation after pool1 and pool2.
        dropout: before the fully connected layers from `first_dropped` on: 6, or 7 as in Caffe,
            where fc6's and fc7's answers are dropped (fc7's is the head's business).
        fc6: kernel, dilation and padding, where fc6 is not the whole of pool5.
    """

    channels: tuple = (96, 256, 384, 384, 256)
    conv1: tuple = (4, 0)
    groups: int = 1
    ceil: bool = True
    pool_pad: int = 0
    pool5: tuple = (2, 0)
    norm: tuple = (None,) * 6
    lrn: bool = False
    dropout: float = 0.0
    first_dropped: int = 6
    fc6: tuple = None


FLAVOURS = {
    # Gidaris et al. (2018), released code
    "rotnet": Flavour((64, 192, 384, 256, 256), (4, 2), ceil=False, norm=("bn",) * 6),
    # Krizhevsky's network as Caffe's reference model has it
    "caffenet": Flavour(groups=2, lrn=True, dropout=0.5, first_dropped=7),
    # Doersch et al. (2015), released code
    "deepcontext": Flavour(conv1=(4, 5), lrn=True,
                           norm=(None, None, "bn_plain", "bn_plain", "bn_plain", "bn_plain")),
    # Zhang et al. (2016), released code
    "colorization": Flavour(conv1=(4, 5), groups=2, pool_pad=1, pool5=(1, 1),
                            norm=("bn_plain",) * 6, fc6=(6, 2, 5)),
    # Zhang et al. (2017): each half of the split-brain network
    "colorization_half": Flavour((48, 128, 192, 192, 128), conv1=(4, 5), pool_pad=1, pool5=(1, 1),
                                 norm=("bn_plain",) * 6, fc6=(6, 2, 5)),
    # Caron et al. (2018), released code
    "deepcluster": Flavour(conv1=(4, 2), ceil=False, norm=("bn",) * 5 + (None,), dropout=0.5),
    # Bojanowski and Joulin (2017), released code
    "nat": Flavour(conv1=(4, 2), ceil=False, norm=("bn",) * 6, dropout=0.5, first_dropped=7),
    # Noroozi and Favaro (2016): one tile of the context-free network, conv1 at stride 2
    "cfn": Flavour(conv1=(2, 0), groups=2, lrn=True, dropout=0.5, first_dropped=7),
}


def stack(x, flavour, fc_units, image_size, conv1_stride, prefix="", batch_norm=True,
          caffe_fc=False):
    """The layers of an AlexNet, their names with a prefix: ordered `{tap: (tensor, stride)}`."""
    spec = FLAVOURS[flavour]
    if caffe_fc:
        spec = dataclasses.replace(spec, pool5=(2, 0), fc6=None, dropout=0.5, first_dropped=7)
    if not batch_norm:
        spec = dataclasses.replace(spec, norm=(None,) * 6)
    stride = conv1_stride or spec.conv1[0]
    kinds = [(11, stride, spec.conv1[1], 1), (5, 1, 2, spec.groups), (3, 1, 1, 1),
             (3, 1, 1, spec.groups), (3, 1, 1, spec.groups)]
    pools = {1: (2, spec.pool_pad), 2: (2, spec.pool_pad), 5: spec.pool5}
    size, total, taps = image_size, 1, {}
    for k, (channels, (kernel, step, pad, groups)) in enumerate(
            zip(spec.channels, kinds, strict=True), 1):
        norm, label = spec.norm[k - 1], f"{prefix}conv{k}"
        x = _padded(x, pad, f"{label}_pad")
        conv = layers.Conv2D if groups == 1 else GroupedConv2D
        x = conv(channels, kernel, step, groups=groups, use_bias=norm is None,
                 kernel_initializer="he_normal", name=label)(x)
        x = _activated(x, norm, label)
        size, total = (size + 2 * pad - kernel) // step + 1, total * step
        taps[f"conv{k}"] = (x, total)
        if k in pools:  # after a ReLU a zero is neutral to the maximum
            step, pad = pools[k]
            more = step - 1 if spec.ceil else 0
            x = _padded(x, (pad, pad + more), f"{prefix}pool{k}_pad")
            x = layers.MaxPooling2D(3, step, name=f"{prefix}pool{k}")(x)
            size, total = (size + 2 * pad + more - 3) // step + 1, total * step
            if spec.lrn and k < 5:
                x = LocalResponseNormalization(name=f"{prefix}norm{k}")(x)
            taps[f"pool{k}"] = (x, total)
    if fc_units and size < 1:
        raise ValueError(f"image_size leaves nothing of pool5. Received: {image_size}")
    for k, units in enumerate(fc_units, 6):
        kernel, dilation, pad = (size, 1, 0) if k == 6 else (1, 1, 0)
        if k == 6 and spec.fc6:
            kernel, dilation, pad = spec.fc6
        norm, label = spec.norm[5], f"{prefix}fc{k}"
        if spec.dropout and k >= spec.first_dropped:
            x = layers.Dropout(spec.dropout, name=f"{prefix}drop{k}")(x)
        x = _padded(x, pad, f"{label}_pad")
        x = FullyConnectedConv2D(units, kernel, dilation_rate=dilation, use_bias=norm is None,
                                 kernel_initializer="he_normal", name=label)(x)
        x = _activated(x, norm, label)
        taps[label.removeprefix(prefix)] = (x, total)
    return taps


@registry.register("alexnet")
@keras.saving.register_keras_serializable(package="keras_pretext")
class AlexNet(Backbone):
    """Five convolutions and, where asked, fully connected layers as valid convolutions.

    Taps: conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5, then fc6 fc7 ... for `fc_units`. The
    conv and fc taps are after the ReLU; pool1 and pool2 after the local response normalisation.
    All padding is symmetric. First weights are He's normal ones and the input is divided by `std`,
    where Caffe's networks have narrower Gaussians, biases of 1 in places, twice the rate for
    biases, and pictures in 0..255 less the mean: at ours a local response normalisation changes
    next to nothing (less than half a percent). Fully connected layers cover the whole of pool5 at
    `image_size`; larger pictures give a map of them.

    Args:
        flavour: "rotnet", "caffenet", "deepcontext", "colorization", "colorization_half",
            "deepcluster", "nat" or "cfn".
        fc_units: widths of the fully connected layers; () leaves the network convolutional.
        image_size: the input side at which fc6 gives 1x1.
        conv1_stride: in place of the flavour's; 4 moves a "cfn" to recognition.
        mean, std: of the training images, RGB in 0..255; ImageNet's by default.
        sobel: the first convolution sees the edges of the mean channel instead of the colours.
        color: what it sees: "RGB", or of CIELAB "L" (lightness alone), "ab" or "Lab".
        batch_norm: False leaves out the flavour's batch normalisation; the convolutions have
            biases instead.
        caffe_fc: pool5 and the fully connected layers are those of Caffe's reference network,
            whatever the flavour: stride 2, no dilation, dropout 0.5 between fc6 and fc7. So the
            papers evaluate (Zhang et al., 2016; Krähenbühl et al., 2016). Weights fit where fc6's
            kernel does.
    """

    def __init__(self, flavour="rotnet", fc_units=(4096, 4096), image_size=224, conv1_stride=None,
                 mean=IMAGENET_MEAN, std=IMAGENET_STD, sobel=False, color="RGB", batch_norm=True,
                 caffe_fc=False, name="alexnet", **kwargs):
        if flavour not in FLAVOURS:
            raise ValueError(unknown_name("AlexNet flavour", flavour, FLAVOURS))
        fc_units = tuple(fc_units)

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x = normalized(inputs, mean, std, sobel, color)
        taps = stack(x, flavour, fc_units, image_size, conv1_stride, batch_norm=batch_norm,
                     caffe_fc=caffe_fc)
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.flavour, self.fc_units, self.image_size = flavour, fc_units, image_size
        self.conv1_stride, self.sobel, self.color = conv1_stride, sobel, color
        self.mean, self.std, self.batch_norm = tuple(mean), tuple(std), batch_norm
        self.caffe_fc = caffe_fc

    def get_config(self):
        # what is usual is left out, so that digests of networks published before stay theirs
        unusual = {} if self.batch_norm else {"batch_norm": False}
        unusual |= {"caffe_fc": True} if self.caffe_fc else {}
        return {"flavour": self.flavour, "fc_units": self.fc_units, "image_size": self.image_size,
                "conv1_stride": self.conv1_stride, "mean": self.mean, "std": self.std,
                "sobel": self.sobel, "color": self.color, "name": self.name, **unusual}


def _padded(x, pad, name):
    pad = pad if isinstance(pad, tuple) else (pad, pad)
    return layers.ZeroPadding2D((pad, pad), name=name)(x) if any(pad) else x


def _activated(x, norm, name):
    if norm:
        affine = norm == "bn"
        x = BatchNormalization(center=affine, scale=affine, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
