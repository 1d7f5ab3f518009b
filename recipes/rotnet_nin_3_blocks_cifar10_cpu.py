"""RotNet, 3-block Network-in-Network, CIFAR-10 (JPEG re-encoding), for two CPU cores.

Paper: 88.26 % non-linear on ConvB2, 62.09 % on ConvB3 (Gidaris et al., 2018, Table 1).
Ours: 77.75 % non-linear on ConvB2, 73.46 % on ConvB3 after 2 epochs; 66.29 and 63.47 % for random
weights (10 probe epochs, 3 seeds). It was the first version of `rotnet_nin_3_blocks`, which is now
what a GPU made of `rotnet_nin_3_blocks_cifar10.py`.
Cost: 60 minutes on one CPU core.
Command: keras-pretext pretrain recipes/rotnet_nin_3_blocks_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_3_blocks",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 3}),
    data="cifar10_jpeg",
    epochs=2,
    batch_size=64,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
