"""Context prediction with a VGG-16 tower: the network that transitive invariance starts from.

Paper: 61.7 % mAP on VOC 2007 detection (Doersch et al., 2015, "VGG-Ours (rescaled)").
Ours: not run (ImageNet is not at hand).
The momentum of 0.9 is ours: the released solver has none, the paper a higher one.
Cost: several GPUs for weeks.
Command: keras-pretext pretrain recipes/relative_patch_vgg16_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="context_vgg16_paper",
    task=("relative_patch", {"patch": 96, "gap": 48, "jitter": 7}),
    backbone=("vgg", {"depth": 16, "fc_units": [4096], "image_size": 96}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=40,
    batch_size=32,
    learning_rate=0.0128,  # 1e-5 for the sum over a batch's 1280 pairs
    weight_decay=0.0,
    precision="mixed_bfloat16",
    deterministic=False,
)
