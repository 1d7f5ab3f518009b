"""Exemplar-CNN on the embedded scenes, 100 seeds of 16 pixels, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance is 0.01.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/exemplar_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_scenes",
    task=("exemplar", {"num_classes": 100, "visits": 100, "patch": 16}),
    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f", "image_size": 16}),
    data="scenes",
    epochs=4,
    batch_size=50,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    test_images=500,
)
