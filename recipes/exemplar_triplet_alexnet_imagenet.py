"""Exemplars by triplets with AlexNet on ImageNet.

Paper: 46.0 % of ImageNet by a linear probe, with a ResNet-50 four times as wide (Kolesnikov et al.,
CVPR 2019, Table 1).
Ours: not run. The rates are the paper's without its five epochs of warm-up.
Cost: 35 epochs, each picture eight times; made for a GPU.
Command: keras-pretext pretrain recipes/exemplar_triplet_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_triplet_alexnet",
    task=("exemplar_triplet", {"copies": 8, "image_size": 224, "dim": 1000, "margin": 0.5}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": []}),
    data="imagenet2012",
    test_split="validation",
    epochs=35,
    batch_size=64,
    learning_rate=0.025,  # 0.1 for 256 pictures
    schedule={"kind": "steps", "epochs": [15, 25], "factor": 0.1},
    weight_decay=1e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
