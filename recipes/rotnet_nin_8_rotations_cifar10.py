"""RotNet with eight rotations, multiples of 45 degrees (Table 2 of the paper).

Paper: 88.51 % non-linear on ConvB2, 89.06 % with four rotations (Gidaris et al., 2018, Table 2).
Ours: not yet run at this length.
Cost: 100 epochs of 50,000 images, each seen in every rotation; made for a GPU.
Command: keras-pretext pretrain recipes/rotnet_nin_8_rotations_cifar10.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_nin_8_rotations_paper",
    task=("rotation", {"image_size": 32, "angles": [0, 45, 90, 135, 180, 225, 270, 315]}),
    backbone=("network_in_network", {"blocks": 4}),
    data="cifar10_jpeg",
    epochs=100,
    batch_size=128,
    learning_rate=0.1,
    schedule={"kind": "steps", "epochs": [30, 60, 80], "factor": 0.2},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
