"""Transitive invariance with AlexNet, pairs mined from a few clips, two CPU cores.

Paper: 63.2 % mAP on VOC 2007 detection at full size (Wang, He and Gupta, ICCV 2017, Table 1).
Ours: pairs of 18 clips (docs/mining.md); linear conv5 on 202 classes of Tiny-ImageNet 2.56 against
2.01 % for random weights. Patches of 96 pixels are seen at 64.
Cost: 3 minutes on two busy CPU cores.
Command: keras-pretext pretrain recipes/transitive_alexnet_videos_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="transitive_alexnet",
    task=("transitive", {"image_size": 64, "hidden": [256], "dim": 128}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": []}),
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
