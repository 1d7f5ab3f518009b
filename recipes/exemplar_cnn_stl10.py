"""Exemplar-CNN of the paper's middle size on STL-10's unlabelled pictures: 16,000 classes.

Paper: 72.8 % on STL-10, linear SVM on all layers (Dosovitskiy et al., TPAMI 2016, Table 1).
Ours: not run. Rates (0.01, 0.004, 0.001, 0.0004, 0.0001) and decay are the authors'; their double
rate of the biases and quarter rate of the classifier are not followed.
Cost: 1.56 million steps of 128 patches; made for a GPU.
Command: keras-pretext pretrain recipes/exemplar_cnn_stl10.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_cnn_stl10",
    task=("exemplar", {"num_classes": 16000, "visits": 150, "weight_decay": 0.004}),
    backbone=("exemplar_cnn", {"network": "64c5-128c5-256c5-512f", "weight_decay": 0.004}),
    data="stl10",
    split="unlabelled",
    test_split=None,
    epochs=83.2,  # of 18,750 steps: every seed 150 times
    batch_size=128,
    learning_rate=0.01,
    schedule={"kind": "steps", "epochs": [64, 70.4, 76.8, 80],
              "factors": [0.4, 0.1, 0.04, 0.01]},
    weight_decay=0.0,
    deterministic=False,
    checkpoint_steps=5000,
)
