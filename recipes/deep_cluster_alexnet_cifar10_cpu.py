"""DeepCluster on CIFAR-10 at 64 pixels, AlexNet's convolutions on edges, two CPU cores.

Paper: none at this size; 41.0 % on conv3, ImageNet (Caron et al., 2018, Table 1).
Ours: linear conv2 on CIFAR-10 at 64 pixels 49.2 against 38.5 % for random weights, conv3 46.4 to
34.0 % (5 probe epochs; every tap is on the card of `deepcluster_alexnet`); 56 % of the pictures are
put into their cluster (chance 1 %).
Cost: about 40 minutes on two busy CPU cores. For the clustering 26 MB on the disk for the features
of 50,000 pictures and 13 MB for the points, in memory blocks of 64 MB.
Command: keras-pretext pretrain recipes/deep_cluster_alexnet_cifar10_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="deep_cluster_alexnet",
    task=("deep_cluster", {"clusters": 100, "pca": 64, "kmeans": "keras", "image_size": 64,
                           "framing": {"kind": "random_resized_crop", "size": 64,
                                       "scale": [0.4, 1.0]}, "tap": "conv5"}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [], "image_size": 64, "sobel": True}),
    data="cifar10_jpeg",
    test_split=None,
    epochs=20,
    batch_size=128,
    learning_rate=0.05,
    weight_decay=1e-5,
    precision="mixed_bfloat16",
)
