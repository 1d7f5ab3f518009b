"""Counting with tiles of 32 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 51.4 % mAP on VOC 2007 detection at full size (Noroozi et al., 2017).
Ours: no published run yet. Crops of 64 pixels, no dropout, fully connected layers of 1024 units
instead of 4096.
Cost: about an hour on two CPU cores.
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
