"""The encoder of the inpainting network (Pathak et al., CVPR 2016; the released code)."""

import keras
from keras import layers

from keras_pretext.backbones.base import Backbone, normalized, registry
from keras_pretext.layers.batch_normalization import BatchNormalization
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D


@registry.register("context_encoder")
@keras.saving.register_keras_serializable(package="keras_pretext")
class ContextEncoder(Backbone):
    """4x4 convolutions of stride 2 down to 4x4 maps, then a valid one: the bottleneck.

    Taps: conv1, conv2 ... and bottleneck, each after its leaky ReLU of slope 0.2. A picture of
    `4 * 2**len(channels)` pixels (128 with five convolutions) has a bottleneck of 1x1, a larger
    one a map of it. Batch normalisation after every convolution but the first; no biases. First
    weights are normal with deviation 0.02, the normalisation's scales around 1.

    Args:
        channels: of the strided convolutions; (64, 128, 256, 512) for pictures of 64 pixels.
        bottleneck: channels of the code; None leaves it out.
        mean, std: RGB in 0..255; by default pictures come to [-1, 1].
    """

    def __init__(self, channels=(64, 64, 128, 256, 512), bottleneck=4000,
                 mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5), name="context_encoder",
                 **kwargs):
        channels = tuple(channels)
        if not channels or min(channels) < 1 or (bottleneck is not None and bottleneck < 1):
            raise ValueError("there is at least one convolution, and widths are at least 1. "
                             f"Received: channels={channels}, bottleneck={bottleneck}")

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x, taps = normalized(inputs, mean, std), {}
        for k, width in enumerate(channels, 1):
            x = layers.ZeroPadding2D(1, name=f"conv{k}_pad")(x)
            x = convolution(width, 2, f"conv{k}")(x)
            x = activated(x, f"conv{k}", norm=k > 1)
            taps[f"conv{k}"] = (x, 2 ** k)
        if bottleneck is not None:
            x = activated(convolution(bottleneck, 1, "bottleneck")(x), "bottleneck")
            taps["bottleneck"] = (x, 2 ** len(channels))
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.channels, self.bottleneck = channels, bottleneck
        self.mean, self.std = tuple(mean), tuple(std)

    def get_config(self):
        return {"channels": self.channels, "bottleneck": self.bottleneck, "mean": self.mean,
                "std": self.std, "name": self.name}


def convolution(width, stride, name, kernel=4):
    """A valid convolution as this paper's networks have it, of the whole map or of its parts."""
    return FullyConnectedConv2D(width, kernel, stride, use_bias=False, name=name,
                                kernel_initializer=keras.initializers.RandomNormal(stddev=0.02))


def activated(x, name, norm=True):
    """Batch normalisation, where asked, and the leaky ReLU."""
    if norm:
        x = normalization(name)(x)
    return layers.LeakyReLU(0.2, name=f"{name}_relu")(x)


def normalization(name):
    """Batch normalisation with DCGAN's first scales."""
    return BatchNormalization(name=f"{name}_bn",
                              gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02))
