"""Feature extraction: the SavedModel against the bare tf.function of the same backbone.

    python benchmarks/feature_extraction.py [--rounds 7] [--seconds 1]
"""

import argparse
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from _timing import ratio, show, take_turns, verdict

from keras_pretext import backbones, tasks
from keras_pretext.serving import export

NETWORKS = {
    "network_in_network": ({"blocks": 4}, 32, 64),
    "alexnet": ({"flavour": "rotnet", "fc_units": (), "image_size": 224}, 224, 16),
}


def compare(name, arguments):
    config, size, batch = NETWORKS[name]
    backbone = backbones.get(name, **config)
    model = tasks.get("rotation", image_size=size).attach(backbone)
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype(np.uint8)
    images = tf.constant(images)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def bare(images):
        return {tap: tf.cast(x, tf.float32)
                for tap, x in backbone(images, training=False).items()}

    with tempfile.TemporaryDirectory() as folder:
        export(model, folder)
        served = tf.saved_model.load(folder)
        signature = served.signatures["features"]

        def saved():
            return signature(images=images)

        for tap, expected in bare(images).items():  # the same answer, or the race is void
            np.testing.assert_allclose(saved()[tap], expected, atol=1e-3)

        def counted(run):
            def work():
                run()
                return batch

            return work

        rates = take_turns({"SavedModel, signature `features`": counted(saved),
                            "bare tf.function": counted(lambda: bare(images))},
                           arguments.rounds, arguments.seconds)
    print(f"{name}, {size} pixels, batch {batch}, {os.cpu_count()} cores")
    show(rates, "images/s")
    verdict("SavedModel / bare", ratio(*rates.values()), 0.9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in NETWORKS:
        compare(name, arguments)


if __name__ == "__main__":
    main()
