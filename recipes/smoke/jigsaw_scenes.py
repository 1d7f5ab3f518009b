"""Jigsaw puzzles on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance is 0.05.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/jigsaw_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="jigsaw_scenes",
    task=("jigsaw", {"tile": 16, "cell": 19, "shift": 1, "permutations": 20, "permutations_sha256":
                     "b3c9c15f47ba9ab96668ef293f84909d7ad733c3ae1394064995b1f98fed382a",
                     "embedding": 128, "hidden": 256, "dropout": 0.0}),
    backbone=("network_in_network", {"blocks": 2}),
    data="scenes",
    epochs=0.5,
    batch_size=16,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
    test_images=500,
)
