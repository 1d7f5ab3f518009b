"""Context prediction, deepcontext-AlexNet, ImageNet without labels: the paper's network.

Paper: 46.3 % mAP on VOC 2007 detection (color dropping; Doersch et al., 2015, Table 1).
Ours: not run (ImageNet is not at hand); see `relative_patch_alexnet_tiny_imagenet.py`.
The momentum of 0.9 is ours: the released solver has none, the paper a higher one.
Cost: over a million steps in the paper, weeks of one GPU; made for several.
Command: keras-pretext pretrain recipes/relative_patch_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="context_alexnet_paper",
    task=("relative_patch", {"patch": 96, "gap": 48, "jitter": 7}),
    backbone=("alexnet", {"flavour": "deepcontext", "fc_units": [4096], "image_size": 96}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=40,
    batch_size=32,
    learning_rate=0.0128,  # 1e-5 for the sum over a batch's 1280 pairs
    weight_decay=0.0,
    precision="mixed_bfloat16",
    deterministic=False,
)
