"""Transitive invariance on a small residual trunk, pairs mined from a few clips, two CPU cores.

Paper: 63.2 % mAP on VOC 2007 detection at full size (Wang, He and Gupta, ICCV 2017, Table 1).
Ours: no published run yet. Patches of 96 pixels are seen at 48.
Cost: some minutes of two CPU cores for a few thousand pairs.
Command: keras-pretext pretrain recipes/transitive_resnet_videos_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="transitive_resnet",
    task=("transitive", {"image_size": 48, "hidden": [256], "dim": 128}),
    backbone=("resnet", {"flavour": "cifar", "depth": 20, "output_stride": 4}),
    data="pairs:runs/mined",  # of keras-pretext mine VIDEOS --out runs/mined
    test_split=None,
    epochs=5,
    batch_size=64,
    learning_rate=0.001,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
)
