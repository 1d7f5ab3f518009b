"""Damaged jigsaw puzzles with tiles of 32 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 69.2 % classification on VOC 2007 at full size (Kim et al., 2018).
Ours: after 2 epochs 22.4 % of the puzzles (chance 1 %), after 2 more from those weights with new
heads 25.4 %. On CIFAR-10 at 32 pixels, 5 probe epochs, 3 seeds: linear conv3 42.23 % (random
weights 37.38 %), non-linear conv3 64.32 % (59.51 %): `cdjp_alexnet`. Tiles of 32 in cells of 38 (64
in 75, halved) of pictures enlarged to 128 pixels; 100 permutations, fully connected layers of 512
and 1024 units.
Cost: 37 minutes on one CPU core for 2 epochs, 24 with AMX.
Command: keras-pretext pretrain recipes/damaged_jigsaw_alexnet_tiny_imagenet_cpu.py
The second two: --set initial=cdjp_alexnet@1 (no longer shipped)
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="damaged_jigsaw_alexnet",
    task=("damaged_jigsaw", {"tile": 32, "cell": 38, "permutations": 100, "permutations_sha256":
                             "d5613f91d55dae9259c2d1b10df78c89b81d76e5fe329233d7f5821b2c92bc3f",
                             "embedding": 512, "hidden": 1024, "dropout": 0.1}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": []}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=2,
    batch_size=32,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
