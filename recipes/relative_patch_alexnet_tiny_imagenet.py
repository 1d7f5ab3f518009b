"""Context prediction at a third of the size, part of Tiny-ImageNet, for one GPU.

Paper: 46.3 % mAP on VOC 2007 detection at full size (Doersch et al., 2015, Table 1).
Ours: not yet run; see `relative_patch_alexnet_tiny_imagenet_cpu.py`.
Cost: made for a GPU.
Command: keras-pretext pretrain recipes/relative_patch_alexnet_tiny_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="context_alexnet",
    task=("relative_patch", {"patch": 32, "gap": 16, "jitter": 2, "color": "project",
                             "hidden": [512, 512],
                             "framing": {"kind": "area_crop", "size": 132,
                                         "area": [17_500, 27_000]}}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": [512]}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=40,
    batch_size=64,
    learning_rate=0.03,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
