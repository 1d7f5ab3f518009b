"""Noise as targets at 64 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 65.3 % mAP on VOC 2007 classification at full size (Bojanowski and Joulin, 2017).
Ours: no published run yet. Convolutions only, points of 256 coordinates instead of 2048.
Cost: about half an hour on two CPU cores.
Command: keras-pretext pretrain recipes/nat_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="nat_alexnet",
    task=("noise_targets", {"dim": 256, "image_size": 64, "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [], "sobel": True}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=30,
    batch_size=128,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
