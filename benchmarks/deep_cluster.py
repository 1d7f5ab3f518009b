"""DeepCluster: what part of an epoch its clustering takes, with the small recipe of CIFAR-10.

    python benchmarks/deep_cluster.py [--rounds 3] [--seconds 10] [--images 50000]

Features, principal components and k-means take turns with training. Pictures are noise: the time
of both does not depend on what they show.
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from _timing import ratio, show, take_turns, verdict

from keras_pretext.training import Trainer, load_recipe

RECIPE = pathlib.Path(__file__).parents[1] / "recipes" / "deep_cluster_alexnet_cifar10_cpu.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--images", type=int, default=50000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = np.random.default_rng(0).integers(0, 256, (arguments.images, 32, 32, 3))
        np.savez(f"{folder}/noise.npz", images=pictures.astype("uint8"))
        recipe = load_recipe(RECIPE, data=f"npz:{folder}/noise.npz", epochs=1000)
        trainer = Trainer(recipe, f"{folder}/run", progress=False)
        cluster, epochs = trainer.task.on_epoch_start, iter(range(1000))

        def clustering():
            cluster(trainer, next(epochs))
            return arguments.images

        def training():
            for _ in range(20):
                next(steps)
                trainer.step += 1
            return 20 * recipe.batch_size

        clustering()
        steps = trainer._tensorflow_steps()
        rates = take_turns({"clustering": clustering, "training": training}, arguments.rounds,
                           arguments.seconds)
    name, options = recipe.task
    print(f"{name}: {arguments.images} pictures, {options['clusters']} clusters, "
          f"{os.cpu_count()} cores")
    show(rates, "images/s")
    verdict("an epoch, clustering and all / clustering",
            1 + ratio(rates["clustering"], rates["training"]), 3)


if __name__ == "__main__":
    main()
