"""Supervised 3-block Network-in-Network on CIFAR-10, for one GPU: the reference of `rotnet_nin`.

Paper: 92.80 % after 200 epochs (Gidaris et al., 2018, Table 3).
Ours: 88.70 % on a re-encoding as JPEG after 40 epochs: `supervised_nin`.
Cost: 219 seconds on one H200 with JAX that other trainings shared.
Command: keras-pretext pretrain recipes/supervised_nin_cifar10.py
The paper's schedule (not run): --set epochs=200
    --set 'schedule={"kind": "steps", "epochs": [60, 120, 160], "factor": 0.2}'
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="supervised_nin",
    task=("classification", {"num_classes": 10, "image_size": 32}),
    backbone=("network_in_network", {"blocks": 3}),
    data="cifar10_jpeg",
    epochs=40,
    batch_size=128,
    learning_rate=0.1,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    deterministic=False,
)
