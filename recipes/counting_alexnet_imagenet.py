"""Counting, AlexNet, ImageNet without labels: the paper's network and geometry.

Paper: 51.4 % mAP on VOC 2007 detection, 67.7 % on classification (Noroozi et al., 2017).
Ours: not run (ImageNet is not at hand); see `counting_alexnet_tiny_imagenet_cpu.py`. Learning
rate and length are ours.
Cost: a few days of one GPU; every image is five pictures of 114 pixels.
Command: keras-pretext pretrain recipes/counting_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="counting_alexnet_paper",
    task=("counting", {"tile": 114, "counts": 1000, "margin": 10.0}),
    backbone=("alexnet", {"flavour": "caffenet", "image_size": 114}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=40,
    batch_size=128,
    learning_rate=0.0005,
    schedule={"kind": "steps", "epochs": [20, 30], "factor": 0.1},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
