"""Context prediction with a VGG-16 tower, part of Tiny-ImageNet, two CPU cores.

Paper: 61.7 % mAP on VOC 2007 detection at full size (Doersch et al., 2015, "VGG-Ours (rescaled)").
Ours: tells 27.2 % of the pairs (chance 15 %) after 0.7 epochs; its features were not probed, it is
what `transitive_vgg16_videos_cpu.py` begins with. Patches of 32 pixels, a third of the paper's, and
batch normalisation.
Cost: 36 minutes on one CPU core that shared its machine.
Command: keras-pretext pretrain recipes/relative_patch_vgg16_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="context_vgg16",
    task=("relative_patch", {"patch": 32, "gap": 16, "jitter": 2, "color": "project",
                             "hidden": [512, 512],
                             "framing": {"kind": "area_crop", "size": 132,
                                         "area": [17_500, 27_000]}}),
    backbone=("vgg", {"depth": 16, "batch_norm": True, "image_size": 32}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=0.7,
    batch_size=16,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    test_images=256,
)
