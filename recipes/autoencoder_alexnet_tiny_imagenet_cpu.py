"""The autoencoder with AlexNet at 64 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: none at this size; see `autoencoder_alexnet_imagenet.py`.
Ours: 19.0 dB on held-out pictures; linear conv3, 202 classes: 2.92 against 2.10 % for random
weights.
Cost: 15 minutes on two busy CPU cores.
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
