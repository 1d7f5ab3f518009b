"""RotNet-AlexNet on ImageNet: the paper's schedule.

Paper: linear probes 18.8 / 31.7 / 38.7 / 38.2 / 36.5 % on conv1-5 (Gidaris et al., 2018, Table 5).
Ours: not run (ImageNet is not at hand); see `rotnet_alexnet_tiny_imagenet_cpu.py`.
Cost: 30 epochs of 1.28 M images, each seen in four rotations; made for several GPUs.
Command: keras-pretext pretrain recipes/rotnet_alexnet_imagenet.py --out runs/rotnet_alexnet_paper
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_alexnet_paper",
    task=("rotation", {"image_size": 224}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [4096, 4096], "image_size": 224}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=30,
    batch_size=192,
    learning_rate=0.01,
    schedule={"kind": "steps", "epochs": [10, 20], "factor": 0.1},
    momentum=0.9,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
