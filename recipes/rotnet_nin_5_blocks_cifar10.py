"""RotNet, 5-block Network-in-Network on CIFAR-10 (JPEG re-encoding), for one GPU.

Paper: 89.76 % non-linear on ConvB2 (Gidaris et al., 2018, Table 1).
Ours: 81.99 % non-linear on ConvB2 after 31 epochs in one cycle (10 probe epochs, 3 seeds; random
weights 66.29 %), on a re-encoding as JPEG: `rotnet_nin_5_blocks`.
Cost: 280 seconds on one H200 with JAX that other trainings shared.
Command: keras-pretext pretrain recipes/rotnet_nin_5_blocks_cifar10.py
The paper's schedule (not run): --set epochs=100
    --set 'schedule={"kind": "steps", "epochs": [30, 60, 80], "factor": 0.2}'
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_5_blocks",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 5}),
    data="cifar10_jpeg",
    epochs=31,
    batch_size=128,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
