"""RotNet on the embedded scenes: the demo, a minute or two on two CPU cores.

Paper: none; a smoke test of the whole way.
Ours: printed by `make demo`.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/rotnet_nin_scenes.py --out runs/scenes
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_scenes",
    task=("rotation", {"image_size": 32}),
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
