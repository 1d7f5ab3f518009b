"""RotNet, 4-block Network-in-Network on CIFAR-10: the paper's schedule.

Paper: 89.06 % non-linear on ConvB2 (Gidaris et al., 2018, Table 1).
Ours: not yet run at this length; see `rotnet_nin_cifar10_cpu.py`.
Cost: 100 epochs of 50,000 images, each seen in four rotations; made for a GPU.
Command: keras-pretext pretrain recipes/rotnet_nin_cifar10.py --out runs/rotnet_nin_paper
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_paper",
    task=("rotation", {"image_size": 32}),
    backbone=("network_in_network", {"blocks": 4}),
    data="cifar10_jpeg",
    epochs=100,
    batch_size=128,
    learning_rate=0.1,
    schedule={"kind": "steps", "epochs": [30, 60, 80], "factor": 0.2},
    momentum=0.9,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
