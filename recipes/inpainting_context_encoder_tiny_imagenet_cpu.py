"""Inpainting of the central block at 64 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: none at this size; losses and rates as in `inpainting_context_encoder_imagenet.py`.
Ours: 17.0 dB in the hole, diversity 0.81; linear conv3, 202 classes: 1.96 against 1.45 % for random
weights. With a rate ratio of 10 the discriminator won within an epoch. Half as many channels, a
code of 512 numbers, a frame of 2 pixels.
Cost: 6 minutes on two CPU cores.
Command: keras-pretext pretrain recipes/inpainting_context_encoder_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="inpainting_context_encoder",
    task=("inpainting", {"region": "central", "overlap": 2, "adversarial": 0.001,
                         "rate_ratio": 100.0, "image_size": 64, "width": 32}),
    backbone=("context_encoder", {"channels": [32, 64, 128, 256], "bottleneck": 512}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=4,
    batch_size=64,
    optimizer="adam",
    learning_rate=2e-3,
    momentum=0.5,
    weight_decay=0.0,
)
