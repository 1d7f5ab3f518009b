"""Jigsaw puzzles with tiles of 32 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 53.2 % mAP on VOC 2007 detection at full size (Noroozi and Favaro, 2016).
Ours: after 1.5 epochs 28.6 % of the 100 permutations (chance 1 %); linear probe of conv3 (202
classes, 3 epochs, 3 seeds) 3.84 %, random weights 3.14 %. Tiles of 32 in cells of 38 (the paper's
64 in 75, halved) of pictures enlarged to 128 pixels; fully connected layers of 512 and 1024 units.
`jigsaw_alexnet_tiny_imagenet.py` has what a GPU made of it.
Cost: about an hour on two CPU cores.
Command: keras-pretext pretrain recipes/jigsaw_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="jigsaw_alexnet",
    task=("jigsaw", {"tile": 32, "cell": 38, "shift": 1, "permutations": 100, "permutations_sha256":
                     "d5613f91d55dae9259c2d1b10df78c89b81d76e5fe329233d7f5821b2c92bc3f",
                     "embedding": 512, "hidden": 1024, "dropout": 0.1}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": []}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=8,
    batch_size=32,
    learning_rate=0.03,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
