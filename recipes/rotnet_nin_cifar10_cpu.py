"""RotNet, 4-block Network-in-Network, CIFAR-10 (JPEG re-encoding), for two CPU cores.

Paper: 89.06 % non-linear on ConvB2 after 100 epochs (Gidaris et al., 2018, Table 1).
Ours: see the card of `rotnet_nin` (zoo/rotnet_nin); 4 epochs, one-cycle.
Cost: about an hour on two CPU cores.
Command: keras-pretext pretrain recipes/rotnet_nin_cifar10_cpu.py --out runs/rotnet_nin
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
