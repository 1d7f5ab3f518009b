"""Context prediction at a third of the size, part of Tiny-ImageNet, for one GPU.

Paper: 46.3 % mAP on VOC 2007 detection at full size (Doersch et al., 2015, Table 1).
Ours: 75.2 % of the pairs (chance 15 %), but on CIFAR-10 at 32 pixels, 5 probe epochs, 3 seeds:
linear conv1 44.80 % (random weights 38.93 %), conv3 34.42 % (37.38 %), non-linear conv3 54.84 %
(59.51 %): not published (docs/scoreboard.md). After 1.5 epochs on a CPU conv3 was above random
weights: see `relative_patch_alexnet_tiny_imagenet_cpu.py`.
Cost: 268 seconds beside other trainings on one H100 with JAX.
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
