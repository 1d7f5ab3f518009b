"""The Network-in-Network of RotNet (Gidaris et al., ICLR 2018, section 3.1)."""

import keras
from keras import layers

from keras_pretext.backbones.base import CIFAR_MEAN, CIFAR_STD, Backbone, normalized, registry
from keras_pretext.layers.batch_normalization import BatchNormalization

# kernel and channels of each convolution
_FIRST = ((5, 192), (1, 160), (1, 96))
_SECOND = ((5, 192), (1, 192), (1, 192))
_LATER = ((3, 192), (1, 192), (1, 192))


@registry.register("network_in_network")
@keras.saving.register_keras_serializable(package="keras_pretext")
class NetworkInNetwork(Backbone):
    """Blocks of three convolutions, each with batch normalisation and ReLU.

    Taps `block1` ... `blockN` are the outputs after the block's pooling: 96x16x16, 192x8x8, and
    192x8x8 from there on for 32-pixel images. Max pooling ends block 1, average pooling (which
    counts the padding) block 2, both 3x3 with stride 2 and one pixel of symmetric padding.

    Args:
        blocks: 3, 4 or 5 in the paper; any number from 2 on.
        mean, std: of the training images, RGB in 0..255; CIFAR-10's by default.
        sobel: the first convolution sees the edges of the mean channel instead of the colours.
        batch_norm: after each convolution, instead of its bias.
    """

    def __init__(self, blocks=4, mean=CIFAR_MEAN, std=CIFAR_STD, sobel=False, batch_norm=True,
                 name="network_in_network", **kwargs):
        if not isinstance(blocks, int) or blocks < 2:
            raise ValueError(f"blocks is an integer from 2 on. Received: {blocks!r}")

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x = normalized(inputs, mean, std, sobel)
        taps = {}
        for block in range(1, blocks + 1):
            units = _FIRST if block == 1 else _SECOND if block == 2 else _LATER
            for unit, (kernel, channels) in enumerate(units, 1):
                x = layers.Conv2D(channels, kernel, padding="same", use_bias=not batch_norm,
                                  kernel_initializer="he_normal",
                                  name=f"block{block}_conv{unit}")(x)
                if batch_norm:
                    x = BatchNormalization(name=f"block{block}_bn{unit}")(x)
                x = layers.ReLU(name=f"block{block}_relu{unit}")(x)
            if block <= 2:  # after a ReLU a zero is neutral to the maximum
                x = layers.ZeroPadding2D(1, name=f"block{block}_pad")(x)
                pool = layers.MaxPooling2D if block == 1 else layers.AveragePooling2D
                x = pool(3, 2, name=f"block{block}_pool")(x)
            taps[f"block{block}"] = (x, 2 ** min(block, 2))
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.blocks, self.sobel = blocks, sobel
        self.mean, self.std, self.batch_norm = tuple(mean), tuple(std), batch_norm

    def get_config(self):
        # what is usual is left out, so that digests of networks published before stay theirs
        unusual = {} if self.batch_norm else {"batch_norm": False}
        return {"blocks": self.blocks, "mean": self.mean, "std": self.std, "sobel": self.sobel,
                "name": self.name, **unusual}
