"""RotNet with two rotations, 90 and 270 degrees (Table 2): none is upright.

Paper: 85.52 % non-linear on ConvB2, 89.06 % with four rotations (Gidaris et al., 2018, Table 2).
Ours: not yet run; it sees as many rotated pictures as `rotnet_nin_cifar10_cpu.py`.
Cost: about that of `rotnet_nin_cifar10_cpu.py`, 43 minutes on two CPU cores; not measured.
Command: keras-pretext pretrain recipes/rotnet_nin_90_270_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_90_270",
    task=("rotation", {"image_size": 32, "angles": [90, 270]}),
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
