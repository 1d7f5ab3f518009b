"""Frozen features: all taps in one pass against the last alone, and what the cache saves.

    python benchmarks/probing.py [--rounds 3] [--seconds 1] [--images 3000]

What a linear probe asks for: adaptive max pooling to at most 9600 features, float16, of a picture
and its mirror image.
"""

import argparse
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from _timing import ratio, show, take_turns, verdict

from keras_pretext import backbones
from keras_pretext.data import scenes
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.features import feature_views

NETWORKS = {
    "network_in_network": ({"blocks": 4}, 32),
    "alexnet": ({"flavour": "rotnet", "fc_units": (), "image_size": 112}, 112),
}


def compare(name, arguments):
    config, size = NETWORKS[name]
    backbone = backbones.get(name, **config)
    images, _ = scenes.load("test", size=size, count=500)
    images = np.resize(images, (arguments.images, *images.shape[1:]))  # each some times
    source = ArraySource(images, name="scenes", split="test")

    def work(taps, cache=False):
        def measured():
            feature_views(backbone, source, taps=taps, image_size=size, pooling="adaptive",
                          cache=cache, dtype="mixed_bfloat16")
            return len(images)
        return measured

    last = [*backbone.taps][-1]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KERAS_PRETEXT_CACHE"] = folder
        rates = take_turns({"all taps": work(None), f"{last} alone": work(last),
                            "all taps, from the cache": work(None, True)},
                           arguments.rounds, arguments.seconds)
    print(f"{name}, {size} pixels, {len(backbone.taps)} taps, {os.cpu_count()} cores")
    show(rates, "images/s")
    verdict("all taps / one tap (1 / 1.3)", ratio(rates["all taps"], rates[f"{last} alone"]),
            round(1 / 1.3, 2))
    verdict("cache / computing", ratio(rates["all taps, from the cache"], rates["all taps"]), 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--images", type=int, default=3000)
    arguments = parser.parse_args()
    for name in NETWORKS:
        compare(name, arguments)


if __name__ == "__main__":
    main()
