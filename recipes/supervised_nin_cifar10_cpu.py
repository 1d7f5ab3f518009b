"""Supervised 3-block Network-in-Network on CIFAR-10: the reference for `rotnet_nin` on a CPU.

Paper: 92.80 % after 200 epochs (Gidaris et al., 2018, Table 3).
Ours: 81.19 % after 4 epochs (test split, read back from disk), as many as the first version of
`rotnet_nin` (which saw each picture in four rotations). It is the supervised reference in the
non-linear and conv rows of the cards; `supervised_nin` is what a GPU made of
`supervised_nin_cifar10.py`.
Cost: 18 minutes on two busy CPU cores.
Command: keras-pretext pretrain recipes/supervised_nin_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="supervised_nin",
    task=("classification", {"num_classes": 10, "image_size": 32}),
    backbone=("network_in_network", {"blocks": 3}),
    data="cifar10_jpeg",
    epochs=4,
    batch_size=128,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
