"""The autoencoder with AlexNet at 64 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: none at this size; see `autoencoder_alexnet_imagenet.py`.
Ours: 19.1 dB on held-out pictures. On CIFAR-10 at 64 pixels, 5 probe epochs, 3 seeds: linear conv3
39.82 % (random weights 36.04 %), non-linear conv3 61.88 % (59.42 %): `autoencoder_alexnet`.
Cost: 10 minutes on one CPU core.
Command: keras-pretext pretrain recipes/autoencoder_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="autoencoder_alexnet",
    task=("autoencoder", {"image_size": 64, "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": []}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=8,
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
)
