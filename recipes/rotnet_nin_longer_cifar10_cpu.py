"""RotNet, 4-block Network-in-Network, CIFAR-10 (JPEG re-encoding): goes on from `rotnet_nin@1`.

Paper: 89.06 % non-linear on ConvB2 after 100 epochs (Gidaris et al., 2018, Table 1).
Ours: 80.34 % non-linear on ConvB2 after 4 epochs more, where `rotnet_nin@1` has 79.68 % and random
weights 66.29 % (10 probe epochs, 3 seeds: the card of `rotnet_nin`).
Cost: 116 minutes on one CPU core that shared its host.
Command: keras-pretext pretrain recipes/rotnet_nin_longer_cifar10_cpu.py --snapshots 1
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_longer",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 4}),
    data="cifar10_jpeg",
    epochs=4,
    batch_size=64,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    seed=1,
    initial="rotnet_nin@1",
)
