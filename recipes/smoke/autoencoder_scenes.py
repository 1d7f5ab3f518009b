"""The autoencoder on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; the loss of one colour is the health line's chance.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/autoencoder_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="autoencoder_scenes",
    task=("autoencoder", {"image_size": 32, "bottleneck": 128}),
    backbone=("network_in_network", {"blocks": 2}),
    data="scenes",
    epochs=0.5,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    precision="mixed_bfloat16",
    test_images=500,
)
