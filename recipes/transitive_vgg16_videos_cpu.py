"""Transitive invariance with VGG-16, pairs mined from a few clips, two CPU cores.

Paper: 63.2 % mAP on VOC 2007 detection at full size (Wang, He and Gupta, ICCV 2017, Table 1).
Ours: all triplets of the training right (577 tracks of few people and clothes); on CIFAR-10 at 32
pixels, 5 probe epochs, 3 seeds: linear conv2_2 41.52 % (random weights 38.33 %), non-linear conv3_3
60.64 % (60.11 %), but conv5_3 less than random weights: `transitive_vgg16`. Patches of 96 pixels
are seen at 32, the network has batch normalisation, and it begins with context prediction as the
paper's does. At the paper's size: `transitive_vgg16_videos.py`.
Cost: 10 minutes on one CPU core, after 36 for context prediction and 5 for mining.
Command: keras-pretext pretrain recipes/transitive_vgg16_videos_cpu.py
Before it: keras-pretext mine VIDEOS --out runs/mined --preset small --set stride=2, and
keras-pretext pretrain recipes/relative_patch_vgg16_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="transitive_vgg16",
    task=("transitive", {"image_size": 32, "hidden": [512], "dim": 128}),
    backbone=("vgg", {"depth": 16, "batch_norm": True, "image_size": 32}),
    data="pairs:runs/mined",  # of keras-pretext mine VIDEOS --out runs/mined
    test_split=None,
    initial="runs/context_vgg16",  # of relative_patch_vgg16_tiny_imagenet_cpu.py
    epochs=3,
    batch_size=64,
    learning_rate=0.0003,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
)
