"""Noise as targets, AlexNet, ImageNet without labels: the paper's setting.

Paper: 65.3 % mAP on VOC 2007 classification, 49.4 % on detection (Bojanowski and Joulin, 2017).
Ours: not run (ImageNet is not at hand); see `nat_alexnet_tiny_imagenet_cpu.py`. Pictures are
normalised by the data's statistics, in the released code each by its own.
Cost: a few days of one GPU; the assignment of 256 pictures takes milliseconds.
Command: keras-pretext pretrain recipes/nat_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="nat_alexnet_paper",
    task=("noise_targets", {"dim": 2048, "every": 3, "image_size": 224,
                            "framing": {"kind": "resize_crop", "size": 224, "resize": 256}}),
    backbone=("alexnet", {"flavour": "nat", "sobel": True}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=100,
    batch_size=256,
    learning_rate=2.56,  # the authors' code: 0.01 for the sum over the batch, and nothing else
    momentum=0.0,
    weight_decay=0.0,
    precision="mixed_bfloat16",
    deterministic=False,
)
