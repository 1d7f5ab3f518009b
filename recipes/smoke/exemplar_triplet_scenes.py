"""Exemplars by triplets on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; embeddings that are all the same cost 0.5.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/exemplar_triplet_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_triplet_scenes",
    task=("exemplar_triplet", {"copies": 4, "image_size": 24, "dim": 64,
                               "framing": {"kind": "centre_crop", "size": 32}}),
    backbone=("network_in_network", {"blocks": 2}),
    data="scenes",
    epochs=1,
    batch_size=16,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    test_images=256,
)
