"""Transitive invariance with VGG-16, pairs mined from a few clips, two CPU cores.

Paper: 63.2 % mAP on VOC 2007 detection at full size (Wang, He and Gupta, ICCV 2017, Table 1).
Ours: to be run.
Cost: to be run.
Command: keras-pretext pretrain recipes/transitive_vgg16_videos_cpu.py
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
