"""Colorization by the AlexNet of lightness, ImageNet without labels.

Paper: linear probes 12.5 / 24.5 / 30.4 / 31.5 / 30.3 % on ImageNet (Gidaris et al., 2018, Table 5);
classification 65.9 %, detection 46.1 % (VOC 2007 mAP), segmentation 35.0 % (VOC 2012 mIoU; Zhang et
al., 2016, Table 2, gray).
Ours: not run (ImageNet is not at hand); see `colorization_alexnet_tiny_imagenet_cpu.py`. Rates and
450,000 steps of 80 pictures as in the released code; it begins from k-means initial weights, this
from random ones.
Cost: 28 epochs; made for a GPU.
Command: keras-pretext pretrain recipes/colorization_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="colorization_alexnet_paper",
    task=("colorization", {"image_size": 180, "stride": 8, "framing": {
        "kind": "resize_crop", "size": 180, "resize": 256}}),
    backbone=("alexnet", {"flavour": "colorization", "fc_units": [4096, 4096], "image_size": 180,
                          "color": "L"}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=28.1,
    batch_size=80,
    learning_rate=3e-5,
    schedule={"kind": "steps", "epochs": [15.0, 18.7, 25.0], "factors": [1 / 3, 0.1, 1 / 30]},
    optimizer="adam",
    weight_decay=1e-3,
    precision="mixed_bfloat16",
    deterministic=False,
)
