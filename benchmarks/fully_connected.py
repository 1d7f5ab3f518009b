"""A fully connected layer written as a convolution: our layer's training step against Keras' own.

    python benchmarks/fully_connected.py [--rounds 5] [--images 64] [--precision float32]

The layers are those of the networks: `fc` of two Exemplar-CNNs, `fc6` and `fc7` of AlexNet, `fc6`
of jigsaw's tiles, the code of the context encoder. Our layer makes one matrix product of it where
the kernel is the whole map.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from _timing import ratio, show, take_turns, verdict

LAYERS = {  # side of the map, its channels, units
    "fc of exemplar_cnn 64c5-64c5-128f": (8, 64, 128),
    "fc of exemplar_cnn 64c5-128c5-256c5-512f": (8, 256, 512),
    "fc6 of alexnet": (6, 256, 4096),
    "fc7 of alexnet": (1, 4096, 4096),
    "fc6 of a tile of jigsaw": (3, 256, 1024),
    "bottleneck of context_encoder": (4, 512, 4000),
}


def training_step(kind, setting, images, precision):
    import tensorflow as tf

    side, channels, units = setting
    layer = kind(units, side, dtype=precision)
    inputs = tf.random.normal((images, side, side, channels), dtype=layer.compute_dtype)
    layer.build(inputs.shape)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(tf.cast(layer(inputs), "float32")))
        return tape.gradient(loss, [inputs, *layer.trainable_weights])

    def run():
        step()[0].numpy()
        return images

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    import keras

    from keras_pretext.layers.fully_connected_conv import FullyConnectedConv2D

    for name, setting in LAYERS.items():
        print(name)
        rates = take_turns({kind.__name__: training_step(kind, setting, options.images,
                                                         options.precision)
                            for kind in (FullyConnectedConv2D, keras.layers.Conv2D)},
                           options.rounds, 0.5)
        show(rates, "pictures/s")
        verdict("ours / Keras'", ratio(rates["FullyConnectedConv2D"], rates["Conv2D"]), 1.0)


if __name__ == "__main__":
    main()
