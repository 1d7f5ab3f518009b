"""Context prediction at a third of the size, part of Tiny-ImageNet, two CPU cores.

Paper: 46.3 % mAP on VOC 2007 detection at full size (Doersch et al., 2015, Table 1).
Ours: after 1.5 epochs 28.4 % of the pairs (chance 15 %); linear probe of conv3 (202 classes, 3
epochs, 3 seeds) 3.55 %, random weights 3.14 %. Patches of 32 pixels, gap 16, jitter 2 (the
paper's ratios), of 64-pixel pictures enlarged about twice; fully connected layers of 1024 units
instead of 4096. Colours are projected: with colours dropped the features were worth less.
Cost: 17 minutes for 1.5 epochs on two busy CPU cores.
Command: keras-pretext pretrain recipes/relative_patch_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="context_alexnet",
    task=("relative_patch", {"patch": 32, "gap": 16, "jitter": 2, "color": "project",
                             "hidden": [1024, 1024],
                             "framing": {"kind": "area_crop", "size": 132,
                                         "area": [17_500, 27_000]}}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": [1024]}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=8,
    batch_size=32,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
