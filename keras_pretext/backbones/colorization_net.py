"""The network that colours pictures (Zhang, Isola, Efros, ECCV 2016), VGG-like, eight blocks."""

import keras
from keras import layers

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalized, registry
from keras_pretext.layers.batch_normalization import BatchNormalization

# channels, number of 3x3 convolutions, stride of the last one, dilation
_BLOCKS = ((64, 2, 2, 1), (128, 2, 2, 1), (256, 3, 2, 1), (512, 3, 1, 1), (512, 3, 1, 2),
           (512, 3, 1, 2), (512, 3, 1, 1))


@registry.register("colorization_net")
@keras.saving.register_keras_serializable(package="keras_pretext")
class ColorizationNet(Backbone):
    """Taps conv1 ... conv8, at strides 2, 4, 8, 8, 8, 8, 8 and 4.

    3x3 convolutions with ReLU; the last of conv1, conv2 and conv3 has stride 2, conv5 and conv6 are
    dilated; batch normalisation without scale and shift after the last of conv1 to conv7. conv8
    doubles the resolution by a 4x4 transposed convolution, then two 3x3. Padding is symmetric.
    (The second version of the authors' released network; the 1x1 convolution to the colours is
    the task's.)

    Args:
        width: factor of all channels; 1 in the paper.
        color: what the first convolution sees: "L" (lightness alone), "ab", "Lab", or "RGB".
        mean, std: of the training images, RGB in 0..255, with `color="RGB"`.

    Raises:
        ValueError: for a width that leaves a block no channel, or an unknown color.
    """

    def __init__(self, width=1.0, color="L", mean=IMAGENET_MEAN, std=IMAGENET_STD,
                 name="colorization_net", **kwargs):
        if round(64 * width) < 1:
            raise ValueError(f"width leaves at least one channel of 64. Received: {width!r}")

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x, total, taps = normalized(inputs, mean, std, color=color), 1, {}

        def conv(x, channels, stride, dilation, label):
            x = layers.ZeroPadding2D(dilation, name=f"{label}_pad")(x)
            return layers.Conv2D(round(channels * width), 3, stride, dilation_rate=dilation,
                                 activation="relu", kernel_initializer="he_normal", name=label)(x)

        for block, (channels, count, stride, dilation) in enumerate(_BLOCKS, 1):
            for k in range(1, count + 1):
                x = conv(x, channels, stride if k == count else 1, dilation, f"conv{block}_{k}")
            x = BatchNormalization(center=False, scale=False, name=f"conv{block}_bn")(x)
            total *= stride
            taps[f"conv{block}"] = (x, total)
        x = layers.Conv2DTranspose(round(256 * width), 4, 2, padding="same", activation="relu",
                                   kernel_initializer="he_normal", name="conv8_1")(x)
        for k in (2, 3):
            x = conv(x, 256, 1, 1, f"conv8_{k}")
        taps["conv8"] = (x, total // 2)
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.width, self.color, self.mean, self.std = width, color, tuple(mean), tuple(std)

    def get_config(self):
        return {"width": self.width, "color": self.color, "mean": self.mean, "std": self.std,
                "name": self.name}
