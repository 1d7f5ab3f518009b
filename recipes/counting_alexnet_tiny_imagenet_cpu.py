"""Counting with tiles of 32 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 51.4 % mAP on VOC 2007 detection at full size (Noroozi et al., 2017).
Ours: after 2 epochs 93.9 % of the pictures are nearer to their own tiles than to another's (chance
50 %), but the features are not yet worth more than random ones (linear conv4, 202 classes, 10
epochs of the probe, 5 seeds: 4.43 against 4.52 %). Crops of 64 pixels, no dropout, fully connected
layers of 1024 units instead of 4096.
Cost: 17 minutes for 2 epochs on two busy CPU cores.
Command: keras-pretext pretrain recipes/counting_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="counting_alexnet",
    task=("counting", {"tile": 32}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": [1024, 1024]}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=20,
    batch_size=64,
    learning_rate=0.0005,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
