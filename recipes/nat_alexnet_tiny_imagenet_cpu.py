"""Noise as targets at 64 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 65.3 % mAP on VOC 2007 classification at full size (Bojanowski and Joulin, 2017).
Ours: linear conv2 and conv4 on CIFAR-10 at 64 pixels 39.98 and 35.45 % (random weights 38.50 and
31.74 %), non-linear conv3 59.77 % (57.11 %; 5 probe epochs, 3 seeds: the card of `nat_alexnet`).
Convolutions only, points of 256 coordinates instead of 2048.
Cost: 15 minutes on one CPU core that shared its host.
Command: keras-pretext pretrain recipes/nat_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="nat_alexnet",
    task=("noise_targets", {"dim": 256, "image_size": 64, "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [], "sobel": True}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=15,
    batch_size=128,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
