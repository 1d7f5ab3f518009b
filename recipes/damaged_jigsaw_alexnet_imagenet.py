"""Damaged jigsaw puzzles, three heads, ImageNet without labels.

Paper: 69.2 % classification and 52.4 % detection (VOC 2007 mAP), 39.3 % segmentation (VOC 2012
mIoU; Kim et al., 2018).
Ours: not run (ImageNet is not at hand); see `damaged_jigsaw_alexnet_tiny_imagenet_cpu.py`. Layers
and schedule are those of the jigsaw recipe: the paper's own could not be confirmed.
Cost: as the jigsaw recipe, 2.5 days of one Titan X in its paper, and about half as much again.
Command: keras-pretext pretrain recipes/damaged_jigsaw_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="damaged_jigsaw_alexnet_paper",
    task=("damaged_jigsaw", {"tile": 64, "cell": 75, "permutations": 1000, "permutations_sha256":
                             "f3c999b44a3f64b08521093a0bd77dd255d6ca154f305af6bcf8c7f214e12186",
                             "puzzles": 1}),
    backbone=("alexnet", {"flavour": "cfn", "fc_units": [], "image_size": 64}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=70,
    batch_size=256,
    learning_rate=0.01,
    schedule={"kind": "steps", "epochs": [20, 40, 60], "factor": 0.1},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
