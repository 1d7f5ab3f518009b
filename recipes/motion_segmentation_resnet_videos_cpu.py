"""Motion segmentation on a small residual trunk, frames and masks of a few clips, two CPU cores.

Paper: 61.0 % mAP classification of VOC 2007 at full size (Pathak et al., CVPR 2017).
Ours: frames of 18 clips (docs/mining.md); 81.7 % of the pixels, IoU 0.37; linear block3 on 202
classes of Tiny-ImageNet 2.48 against 1.99 % for random weights.
Cost: 3 minutes on two busy CPU cores.
Command: keras-pretext pretrain recipes/motion_segmentation_resnet_videos_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="motion_segmentation_resnet",
    task=("motion_segmentation", {"image_size": 64, "stride": 4}),
    backbone=("resnet", {"flavour": "cifar", "depth": 20, "output_stride": 4}),
    data="tfrecord:runs/mined/masks",  # of keras-pretext mine VIDEOS --out runs/mined
    test_split=None,
    epochs=10,
    batch_size=32,
    learning_rate=0.002,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
)
