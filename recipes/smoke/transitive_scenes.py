"""Transitive invariance of drawn pairs, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance for the accuracy is 0.5.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/transitive_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="transitive_scenes",
    task=("transitive", {"image_size": 32, "hidden": [128], "dim": 64}),
    backbone=("resnet", {"flavour": "cifar", "depth": 20, "output_stride": 4}),
    data="moving_pairs",
    epochs=0.5,
    batch_size=32,
    learning_rate=0.001,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
    test_images=256,
)
