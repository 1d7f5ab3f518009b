"""Context prediction at a third of the size, part of Tiny-ImageNet.

Paper: 46.3 % mAP on VOC 2007 detection at full size (Doersch et al., 2015, Table 1).
Ours: 31.5 % of the pairs (chance 15 %); on CIFAR-10 at 32 pixels, 5 probe epochs, 3 seeds: linear
conv2 42.77 % (random weights 39.60 %), non-linear conv3 63.03 % (59.51 %): `context_alexnet`.
Cost: 81 minutes on one CPU core that shared its machine.
Command: keras-pretext pretrain recipes/relative_patch_alexnet_tiny_imagenet.py
Longer is worse: --set epochs=40 (268 seconds beside other trainings on one H100 with JAX) tells
75.2 % of the pairs, and its features are worth less than random weights from conv3 on
(docs/tasks/relative_patch.md). Patches of 32 pixels, gap 16, jitter 2 (the paper's ratios), of
64-pixel pictures enlarged about twice. Colours are projected: a network that has seen them dropped
is worth less on pictures that have them.
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
    epochs=4,
    batch_size=64,
    learning_rate=0.03,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
