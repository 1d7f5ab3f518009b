"""Damaged jigsaw puzzles on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance is 0.05 for the puzzle, a squared error of 1 for the painter, and a
cross-entropy of 5.75 for the colours.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/damaged_jigsaw_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="damaged_jigsaw_scenes",
    task=("damaged_jigsaw", {"tile": 16, "cell": 19, "permutations": 20, "permutations_sha256":
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
