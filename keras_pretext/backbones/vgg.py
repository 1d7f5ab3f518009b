"""VGG (Simonyan and Zisserman, ICLR 2015), 16 layers and their kin."""

import keras
from keras import layers

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalized, registry
from keras_pretext.layers.batch_normalization import BatchNormalization
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D
from keras_pretext.registry import unknown_name

# 3x3 convolutions in each of the five blocks
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)


@registry.register("vgg")
@keras.saving.register_keras_serializable(package="keras_pretext")
class VGG(Backbone):
    """Five blocks of 3x3 convolutions, each ended by a 2x2 max pooling.

    Taps: conv1_1 conv1_2 pool1 ... pool5 (stride 32), then fc6 fc7 ... for `fc_units`, all after
    the ReLU. Fully connected layers are valid convolutions that cover pool5 at `image_size`: 7x7
    at 224 pixels, 3x3 at 96.

    Args:
        depth: 11, 13, 16 or 19.
        fc_units: widths of the fully connected layers; (4096, 4096) in the paper.
        image_size: the input side at which fc6 gives 1x1.
        batch_norm: after each convolution, instead of its bias.
        mean, std: of the training images, RGB in 0..255; ImageNet's by default.
        sobel: the first convolution sees the edges of the mean channel instead of the colours.
        caffe_fc: dropout 0.5 between fc6 and fc7, as in the released Caffe network.
    """

    def __init__(self, depth=16, fc_units=(), image_size=224, batch_norm=False,
                 mean=IMAGENET_MEAN, std=IMAGENET_STD, sobel=False, caffe_fc=False, name="vgg",
                 **kwargs):
        if depth not in DEPTHS:
            raise ValueError(unknown_name("VGG depth", str(depth), map(str, DEPTHS)))
        fc_units = tuple(fc_units)
        if fc_units and image_size < 32:
            raise ValueError("fully connected layers need an image_size of at least 32. "
                             f"Received: {image_size}")

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x, taps = normalized(inputs, mean, std, sobel), {}

        def unit(x, channels, kernel, padding, label):
            conv = layers.Conv2D if padding == "same" else FullyConnectedConv2D
            x = conv(channels, kernel, padding=padding, use_bias=not batch_norm,
                     kernel_initializer="he_normal", name=label)(x)
            if batch_norm:
                x = BatchNormalization(name=f"{label}_bn")(x)
            return layers.ReLU(name=f"{label}_relu")(x)

        for block, (count, channels) in enumerate(zip(DEPTHS[depth], _CHANNELS, strict=True), 1):
            for k in range(1, count + 1):
                x = unit(x, channels, 3, "same", f"conv{block}_{k}")
                taps[f"conv{block}_{k}"] = (x, 2 ** (block - 1))
            x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
            taps[f"pool{block}"] = (x, 2**block)
        for k, units in enumerate(fc_units, 6):
            if caffe_fc and k > 6:
                x = layers.Dropout(0.5, name=f"drop{k}")(x)
            x = unit(x, units, image_size // 32 if k == 6 else 1, "valid", f"fc{k}")
            taps[f"fc{k}"] = (x, 32)
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.depth, self.fc_units, self.image_size = depth, fc_units, image_size
        self.batch_norm, self.sobel = batch_norm, sobel
        self.mean, self.std, self.caffe_fc = tuple(mean), tuple(std), caffe_fc

    def get_config(self):
        # what is usual is left out, so that digests of networks published before stay theirs
        unusual = {"caffe_fc": True} if self.caffe_fc else {}
        return {"depth": self.depth, "fc_units": self.fc_units, "image_size": self.image_size,
                "batch_norm": self.batch_norm, "mean": self.mean, "std": self.std,
                "sobel": self.sobel, "name": self.name, **unusual}
