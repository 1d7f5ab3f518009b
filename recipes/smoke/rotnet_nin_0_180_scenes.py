"""RotNet with two rotations on the embedded scenes: upright or upside down.

Paper: none; a smoke test of the ablation of Table 2.
Ours: one number, printed at the end.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/rotnet_nin_0_180_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_0_180_scenes",
    task=("rotation", {"image_size": 32, "angles": [0, 180]}),
    backbone=("network_in_network", {"blocks": 3}),
    data="scenes",
    epochs=2,
    batch_size=32,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    test_images=500,
)
