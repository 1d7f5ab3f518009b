"""Residual networks with pre-activation (He et al., "Identity Mappings in Deep Residual Networks",
ECCV 2016), without classifier."""

import keras
from keras import layers

from keras_pretext.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalized, registry
from keras_pretext.layers.batch_normalization import BatchNormalization
from keras_pretext.registry import unknown_name

FLAVOURS = ("imagenet", "cifar")
# residual units in each block; widths of their 3x3 convolutions, a quarter of what they give
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
WIDTHS = {"imagenet": (64, 128, 256, 512), "cifar": (16, 32, 64)}
_STEM = {"imagenet": 4, "cifar": 1}  # stride of what the first block sees


@registry.register("resnet")
@keras.saving.register_keras_serializable(package="keras_pretext")
class ResNet(Backbone):
    """Bottleneck units of batch normalisation, ReLU and convolution, three times, plus their input.

    Taps: `conv1`, and `block1` ... after normalisation and ReLU. A block begins with a stride of 2
    (the first one does not); where that would pass `output_stride` its 3x3 convolutions are
    dilated instead. The last block at hand ends in a normalisation of its own. ResNet-101 that
    stops after block 3 with output stride 8 is the trunk of Doersch and Zisserman (ICCV 2017).

    Args:
        depth: 50 or 101; for the flavour "cifar" 9 n + 2 with n units in each of three blocks:
            20, 29, ..., 164 (the paper's), ...
        blocks: how many are kept, from the first.
        output_stride: the largest of the taps, a power of 2.
        flavour: "imagenet" (7x7 convolution and 3x3 max pooling, both with stride 2, before block
            1) or "cifar" (a 3x3 convolution).
        mean, std: of the training images, RGB in 0..255; ImageNet's by default.

    Attributes:
        units: names of the layers that end the last block's units; their outputs, sums before
            normalisation, agree in shape.

    Raises:
        ValueError: for what is none of these.
    """

    def __init__(self, depth=101, blocks=3, output_stride=8, flavour="imagenet",
                 mean=IMAGENET_MEAN, std=IMAGENET_STD, name="resnet", **kwargs):
        if flavour not in FLAVOURS:
            raise ValueError(unknown_name("flavour of resnet", flavour, FLAVOURS))
        if flavour == "cifar":
            if depth < 11 or depth % 9 != 2:
                raise ValueError("the depth of a cifar resnet is 9 n + 2, such as 20, 29 or 164. "
                                 f"Received: {depth}")
            counts = (depth // 9,) * 3
        elif depth not in UNITS:
            raise ValueError(unknown_name("resnet depth", str(depth), map(str, UNITS)))
        else:
            counts = UNITS[depth]
        if not 1 <= blocks <= len(counts):
            raise ValueError(f"blocks are 1 to {len(counts)}. Received: {blocks}")
        stride = _STEM[flavour]
        if output_stride < stride or output_stride & (output_stride - 1):
            raise ValueError(f"output_stride is a power of 2, at least {stride}. "
                             f"Received: {output_stride}")

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x, taps, units = normalized(inputs, mean, std), {}, []

        def convolution(x, channels, kernel, label, stride=1, rate=1):
            if stride > 1 and kernel > 1:  # symmetric, which "same" is not where there is a stride
                x = layers.ZeroPadding2D(kernel // 2, name=f"{label}_pad")(x)
            return layers.Conv2D(channels, kernel, stride, dilation_rate=rate, use_bias=False,
                                 padding="valid" if stride > 1 else "same",
                                 kernel_initializer="he_normal", name=label)(x)

        def activated(x, label):
            x = BatchNormalization(name=f"{label}_bn")(x)
            return layers.ReLU(name=f"{label}_relu")(x)

        if flavour == "imagenet":
            x = activated(convolution(x, 64, 7, "conv1", stride=2), "conv1")
            taps["conv1"] = (x, 2)
            x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # 0 is neutral after a ReLU
            before = x = layers.MaxPooling2D(3, 2, name="pool1")(x)
        else:
            before = x = activated(convolution(x, 16, 3, "conv1"), "conv1")
            taps["conv1"] = (x, 1)
        rate = 1
        for block, width in enumerate(WIDTHS[flavour][:blocks], 1):
            step, later = (1 if block == 1 else 2), rate
            if stride * step > output_stride:
                step, later = 1, rate * 2
            stride *= step
            for unit in range(1, counts[block - 1] + 1):
                label = f"block{block}_unit{unit}"
                y = convolution(before, width, 1, f"{label}_conv1")
                y = convolution(activated(y, f"{label}_1"), width, 3, f"{label}_conv2",
                                step if unit == 1 else 1, rate if unit == 1 else later)
                y = convolution(activated(y, f"{label}_2"), 4 * width, 1, f"{label}_conv3")
                if unit == 1:
                    x = convolution(before, 4 * width, 1, f"{label}_shortcut", step)
                x = layers.Add(name=label)([x, y])
                last = unit == counts[block - 1]
                before = activated(x, f"block{block}" if last else f"{label}_out")
                if block == blocks:
                    units.append(label)
            rate = later
            taps[f"block{block}"] = (before, stride)
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.depth, self.blocks, self.output_stride = depth, blocks, output_stride
        self.flavour, self.mean, self.std = flavour, tuple(mean), tuple(std)
        self.units = tuple(units)

    def get_config(self):
        return {"depth": self.depth, "blocks": self.blocks, "output_stride": self.output_stride,
                "flavour": self.flavour, "mean": self.mean, "std": self.std, "name": self.name}


@keras.saving.register_keras_serializable(package="keras_pretext")
class Units(Backbone):
    """The last block's units of a residual trunk, side by side: the tap `units`, of shared weights.

    Args:
        trunk: a backbone with `units`.

    Attributes:
        count: how many there are; each has the same number of channels.

    Raises:
        ValueError: for a backbone without.
    """

    def __init__(self, trunk, name="units", **kwargs):
        if isinstance(trunk, dict):
            trunk = keras.saving.deserialize_keras_object(trunk)
        if not getattr(trunk, "units", None):
            raise ValueError("units are of a residual trunk, such as resnet. "
                             f"Received: {trunk.name}")
        maps = [trunk.get_layer(unit).output for unit in trunk.units]
        stride = [*trunk.taps.values()][-1].stride
        if len(maps) > 1:
            maps = [layers.Concatenate(name="side_by_side")(maps)]
        super().__init__(trunk.input, {"units": (maps[0], stride)}, name=name, **kwargs)
        self.trunk, self.count = trunk, len(trunk.units)

    def get_config(self):
        return {"trunk": keras.saving.serialize_keras_object(self.trunk), "name": self.name}
