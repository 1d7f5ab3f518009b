"""DeepCluster on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end, with the number of empty clusters and the agreement of the last two
clusterings (`nmi`).
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/deep_cluster_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="deep_cluster_scenes",
    task=("deep_cluster", {"clusters": 20, "pca": 32, "kmeans": "keras", "image_size": 64,
                           "framing": {"kind": "random_resized_crop", "size": 64,
                                       "scale": [0.4, 1.0]}, "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [], "image_size": 64, "sobel": True}),
    data="scenes",
    test_split=None,
    epochs=3,
    batch_size=64,
    learning_rate=0.05,
    weight_decay=1e-5,
    precision="mixed_bfloat16",
)
