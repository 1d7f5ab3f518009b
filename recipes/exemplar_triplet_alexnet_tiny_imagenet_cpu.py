"""Exemplars by triplets, AlexNet on crops of 48 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: none at this size; 8 copies, margin 0.5 (Kolesnikov, Zhai, Beyer, CVPR 2019).
Ours: 95.4 % of the triplets right (chance 50 %). On CIFAR-10 at 64 pixels, 5 probe epochs, 3 seeds:
linear conv2 48.88 % (random weights 40.99 %), non-linear conv3 68.32 % (61.77 %):
`exemplar_triplet_alexnet`.
Cost: 46 minutes on one CPU core with AMX that shared its host.
Command: keras-pretext pretrain recipes/exemplar_triplet_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_triplet_alexnet",
    task=("exemplar_triplet", {"copies": 8, "image_size": 48, "dim": 128, "margin": 0.5,
                               "framing": {"kind": "centre_crop", "size": 64}}),
    backbone=("alexnet", {"flavour": "deepcontext", "fc_units": [], "image_size": 48}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=4,
    batch_size=16,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    weight_decay=1e-4,
    precision="mixed_bfloat16",
)
