"""Counting on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance is 0.5, and counts that are all zero cost 10.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/counting_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="counting_scenes",
    task=("counting", {"tile": 16, "counts": 200}),
    backbone=("network_in_network", {"blocks": 2}),
    data="scenes",
    epochs=1,
    batch_size=32,
    learning_rate=0.005,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
    test_images=500,
)
