"""Jigsaw puzzles with tiles of 32 pixels, part of Tiny-ImageNet, for one GPU.

Paper: 53.2 % mAP on VOC 2007 detection at full size (Noroozi and Favaro, 2016).
Ours: 78.4 % of the 100 permutations (chance 1 %). On CIFAR-10 at 32 pixels, 5 probe epochs, 3
seeds: linear conv2 52.08 % (random weights 39.60 %), non-linear conv3 68.95 % (59.51 %):
`jigsaw_alexnet`. Tiles of 32 in cells of 38 (the paper's 64 in 75, halved) of pictures enlarged to
128 pixels; fully connected layers of 256 and 512 units.
Cost: 262 seconds beside other trainings on one H100 with JAX.
Command: keras-pretext pretrain recipes/jigsaw_alexnet_tiny_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="jigsaw_alexnet",
    task=("jigsaw", {"tile": 32, "cell": 38, "shift": 1, "permutations": 100, "permutations_sha256":
                     "d5613f91d55dae9259c2d1b10df78c89b81d76e5fe329233d7f5821b2c92bc3f",
                     "embedding": 256, "hidden": 512, "dropout": 0.1}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": []}),
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
