"""Inpainting of random regions with AlexNet at 64 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: none at this size; regions and loss as in `inpainting_alexnet_imagenet.py`.
Ours: 16.0 dB in the regions. On CIFAR-10 at 64 pixels, 5 probe epochs, 3 seeds: linear conv1
43.01 % (random weights 40.47 %), non-linear conv2 63.74 % (63.33 %), but non-linear conv3 59.03 %
(59.42 %): `context_encoder_alexnet`.
Cost: 16 minutes on one CPU core.
Command: keras-pretext pretrain recipes/inpainting_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="inpainting_alexnet",
    task=("inpainting", {"region": "random", "overlap": 0, "adversarial": 0.0, "image_size": 64,
                         "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": []}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=10,
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
)
