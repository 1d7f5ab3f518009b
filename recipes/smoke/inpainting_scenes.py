"""Inpainting of the central block on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; the loss of one colour is the health line's chance.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/inpainting_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="inpainting_scenes",
    task=("inpainting", {"overlap": 1, "image_size": 32, "width": 16}),
    backbone=("context_encoder", {"channels": [16, 32, 64], "bottleneck": 128}),
    data="scenes",
    epochs=1,
    batch_size=32,
    optimizer="adam",
    learning_rate=2e-3,
    momentum=0.5,
    weight_decay=0.0,
    test_images=500,
)
