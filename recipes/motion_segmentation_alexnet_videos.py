"""Motion segmentation by an AlexNet, frames and masks mined from videos: the paper's size.

Paper: 61.0 % mAP classification of VOC 2007, 52.2 % detection (Pathak et al., CVPR 2017).
Ours: not run (the paper's videos are not at hand). Its input size and its schedule could not be
confirmed; 56x56 places are asked.
Cost: not known.
Command: keras-pretext pretrain recipes/motion_segmentation_alexnet_videos.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="motion_segmentation_alexnet",
    task=("motion_segmentation", {"image_size": 224, "stride": 4, "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": []}),
    data="tfrecord:runs/mined/masks",  # of keras-pretext mine VIDEOS --out runs/mined
    test_split=None,
    epochs=30,
    batch_size=128,
    learning_rate=0.01,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
    deterministic=False,
)
