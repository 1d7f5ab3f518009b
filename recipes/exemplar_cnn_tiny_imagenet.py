"""Exemplar-CNN, 8,000 seeds of part of Tiny-ImageNet, for one GPU.

Paper: 67.1 % on STL-10 (Dosovitskiy et al., TPAMI 2016, Table 1).
Ours: tells 94.6 % of other patches of the 8,000 seeds (chance 0.0125 %). On CIFAR-10, 5 probe
epochs, 3 seeds: linear conv2 54.64 % (random weights 40.95 %), non-linear pool2 74.23 % (65.84 %):
`exemplar_cnn_64c5-64c5-128f`. Begins with 800 classes; 7.2 million patches in all.
Cost: 409 seconds beside other trainings on one H100 with JAX.
Command: keras-pretext pretrain recipes/exemplar_cnn_tiny_imagenet.py
The middle size (49 seconds on one H200; 94.7 % of other patches; linear pool2 49.09 %, random
weights 42.75 %, non-linear pool2 69.42 %, 66.82 %: `exemplar_cnn_64c5-128c5-256c5-512f`):
--set backbone.network=64c5-128c5-256c5-512f --set task.num_classes=4000 --set epochs=3
--set learning_rate=0.02
Its loss is not finite at a learning rate of 0.1.
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_cnn",
    task=("exemplar", {"num_classes": 8000, "visits": 150, "start": [800, 1]}),
    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f"}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=6,
    batch_size=256,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
    test_images=256,
)
