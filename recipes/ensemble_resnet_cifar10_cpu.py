"""Relative patch and colorization on one small residual trunk, CIFAR-10, two CPU cores.

Paper: RP+Col 66.6 % ImageNet top-5, RP alone 59.2 % (Doersch and Zisserman, ICCV
2017).
Ours: linear block1 and block3 on CIFAR-10 42.50 and 43.48 % (random weights 38.86 and 32.23 %),
non-linear block3 63.19 % (53.47 %; 5 probe epochs, 3 seeds: the card of `ensemble_resnet`; after 1
epoch instead of 8: 41.63, 38.16 and 58.43 %). Patches of 12 pixels, two by two, of pictures of 32.
Cost: 56 minutes on one CPU core with AMX that shared its host.
Command: keras-pretext pretrain recipes/ensemble_resnet_cifar10_cpu.py
Other rows: --set 'task.only=["rp"]', '["rp", "ex"]', '["rp", "col", "ex"]', each also with
--set task.lasso=0.01; "ms" needs data with masks.
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="ensemble_resnet",
    task=("ensemble", {
        "tasks": {"rp": ["relative_patch", {"patch": 12, "gap": 6, "jitter": 1, "grid": 2,
                                            "hidden": [256, 256],
                                            "framing": {"kind": "resize_crop", "size": 32,
                                                        "resize": 36}}],
                  "col": ["colorization", {"image_size": 32, "stride": 4,
                                           "prior": "cifar10_jpeg"}],
                  "ex": ["exemplar_triplet", {"copies": 2, "image_size": 24, "dim": 128,
                                              "negatives": "all",
                                              "framing": {"kind": "centre_crop", "size": 32}}],
                  "ms": ["motion_segmentation", {"image_size": 32, "stride": 4}]},
        "only": ["rp", "col"]}),
    backbone=("resnet", {"flavour": "cifar", "depth": 20, "output_stride": 4}),
    data="cifar10_jpeg",
    epochs=8,
    batch_size=64,
    learning_rate=0.002,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
)
