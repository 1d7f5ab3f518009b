"""Noise as targets on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; of one fixed output the loss is 2.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/nat_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="nat_scenes",
    task=("noise_targets", {"dim": 64, "image_size": 32}),
    backbone=("network_in_network", {"blocks": 2, "sobel": True}),
    data="scenes",
    epochs=1,
    batch_size=64,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
    test_images=500,
)
