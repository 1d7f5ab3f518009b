"""Jigsaw puzzles, context-free network (CFN), ImageNet without labels: the paper's setting.

Paper: 53.2 % mAP on VOC 2007 detection, 67.6 % on classification (Noroozi and Favaro, 2016).
Ours: not run (ImageNet is not at hand); see `jigsaw_alexnet_tiny_imagenet_cpu.py`. The permutations
are chosen by max-min instead of the published mean, so that no two agree in more than 4 places.
Cost: 2.5 days of one Titan X in the paper.
Command: keras-pretext pretrain recipes/jigsaw_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="jigsaw_alexnet_paper",
    task=("jigsaw", {"tile": 64, "cell": 75, "permutations": 1000, "permutations_sha256":
                     "f3c999b44a3f64b08521093a0bd77dd255d6ca154f305af6bcf8c7f214e12186",
                     "puzzles": 1}),  # 8 cost little more: the tiles are encoded once
    backbone=("alexnet", {"flavour": "cfn", "fc_units": [], "image_size": 64}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=70,  # 350,000 steps
    batch_size=256,
    learning_rate=0.01,
    schedule={"kind": "steps", "epochs": [20, 40, 60], "factor": 0.1},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
