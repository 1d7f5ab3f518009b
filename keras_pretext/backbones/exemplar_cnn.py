"""The networks of Exemplar-CNN (Dosovitskiy et al., NIPS 2014; TPAMI 2016, section 4)."""

import keras
from keras import layers

from keras_pretext.backbones.base import IMAGENET_MEAN, Backbone, normalized, registry
from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D
from keras_pretext.registry import unknown_name

# channels of the 5x5 convolutions and units of the fully connected layer
NETWORKS = {
    "64c5-64c5-128f": ((64, 64), 128),
    "64c5-128c5-256c5-512f": ((64, 128, 256), 512),
    "92c5-256c5-512c5-1024f": ((92, 256, 512), 1024),
}
_DEVIATIONS = (0.05, 0.02, 0.01)  # of conv1, conv2, conv3's first weights
_DECAYS = (0.0, 0.0, 0.25)  # their shares of the weight decay


@registry.register("exemplar_cnn")
@keras.saving.register_keras_serializable(package="keras_pretext")
class ExemplarCNN(Backbone):
    """Two or three 5x5 convolutions, pooling after the first two, one fully connected layer.

    Taps: conv1 pool1 conv2 pool2 (conv3) fc. The conv and fc taps are after the ReLU, fc after
    dropout too. Convolutions have stride 1 and two pixels of zeros on every side; pooling is 3x3
    with stride 2, sizes rounded up as in Caffe. fc is a valid convolution over the whole map of a
    picture of `image_size`: larger pictures give a map of it. First weights are Gaussian with
    the authors' deviations, biases 0.1. The authors' double rate of the biases is not followed.

    Args:
        network: a key of `NETWORKS`, the names of the paper.
        image_size: side of the training patches in pixels, where fc gives 1x1.
        dropout: share of the fc units dropped in training.
        weight_decay: coupled decay with the authors' shares: none of conv1 and conv2, a quarter
            on conv3, all of it on fc, none of biases. Use it with the recipe's own at 0.
        mean, std: of the training images, RGB in 0..255. The paper divides by 256.

    Raises:
        ValueError: for an unknown network, or a picture that pooling leaves nothing of.
    """

    def __init__(self, network="64c5-128c5-256c5-512f", image_size=32, dropout=0.5,
                 weight_decay=0.0, mean=IMAGENET_MEAN, std=(256.0, 256.0, 256.0),
                 name="exemplar_cnn", **kwargs):
        if network not in NETWORKS:
            raise ValueError(unknown_name("Exemplar-CNN", network, NETWORKS))
        if image_size < 8:
            raise ValueError(f"image_size is at least 8. Received: {image_size}")
        channels, units = NETWORKS[network]

        def weights(deviation, share):
            decay = share * weight_decay / 2  # L2(x) has the gradient 2 x w
            return {"kernel_initializer": keras.initializers.RandomNormal(stddev=deviation),
                    "bias_initializer": keras.initializers.Constant(0.1),
                    "kernel_regularizer": keras.regularizers.L2(decay) if decay else None}

        # === Functional model ===
        inputs = keras.Input((None, None, 3), name="images")
        x, size, taps = normalized(inputs, mean, std), image_size, {}
        for k, (count, deviation, share) in enumerate(
                zip(channels, _DEVIATIONS, _DECAYS, strict=False), 1):
            x = layers.ZeroPadding2D(2, name=f"conv{k}_pad")(x)
            x = layers.Conv2D(count, 5, name=f"conv{k}", **weights(deviation, share))(x)
            x = layers.ReLU(name=f"conv{k}_relu")(x)
            taps[f"conv{k}"] = (x, 2 ** (k - 1))
            if k <= 2:  # after a ReLU a zero is neutral to the maximum
                x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"pool{k}_pad")(x)
                x = layers.MaxPooling2D(3, 2, name=f"pool{k}")(x)
                size = (size - 2) // 2 + 1
                taps[f"pool{k}"] = (x, 2 ** k)
        x = FullyConnectedConv2D(units, size, name="fc", **weights(0.01, 1.0))(x)
        x = layers.ReLU(name="fc_relu")(x)
        x = layers.Dropout(dropout, name="fc_drop")(x)
        taps["fc"] = (x, 4)
        super().__init__(inputs, taps, name=name, **kwargs)

        # === Config ===
        self.network, self.image_size, self.dropout = network, image_size, dropout
        self.weight_decay, self.mean, self.std = weight_decay, tuple(mean), tuple(std)

    def get_config(self):
        return {"network": self.network, "image_size": self.image_size, "dropout": self.dropout,
                "weight_decay": self.weight_decay, "mean": self.mean, "std": self.std,
                "name": self.name}
