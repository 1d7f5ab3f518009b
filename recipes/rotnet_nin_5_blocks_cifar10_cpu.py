"""RotNet, 5-block Network-in-Network, CIFAR-10 (JPEG re-encoding), for two CPU cores.

Paper: 89.76 % non-linear on ConvB2 after 100 epochs (Gidaris et al., 2018, Table 1).
Ours: 77.11 % non-linear on ConvB2, 63.60 % on ConvB5 after 2 epochs; 66.29 % for random weights of
ConvB2 (10 probe epochs, 3 seeds). It was the first version of `rotnet_nin_5_blocks`, which is now
what a GPU made of `rotnet_nin_5_blocks_cifar10.py`.
Cost: 62 minutes on one CPU core.
Command: keras-pretext pretrain recipes/rotnet_nin_5_blocks_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_5_blocks",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 5}),
    data="cifar10_jpeg",
    epochs=2,
    batch_size=64,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
