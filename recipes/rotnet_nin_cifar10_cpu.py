"""RotNet, 4-block Network-in-Network, CIFAR-10 (JPEG re-encoding), for two CPU cores.

Paper: 89.06 % non-linear on ConvB2 after 100 epochs (Gidaris et al., 2018, Table 1).
Ours: 79.68 % non-linear on ConvB2 after 4 epochs, 66.29 % for random weights (10 probe epochs, 3
seeds); `rotnet_nin_cifar10.py` has what a GPU made of it.
Cost: 43 minutes on two busy CPU cores.
Command: keras-pretext pretrain recipes/rotnet_nin_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 4}),
    data="cifar10_jpeg",
    epochs=4,
    batch_size=64,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
