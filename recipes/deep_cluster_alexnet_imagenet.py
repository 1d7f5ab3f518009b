"""DeepCluster, AlexNet with batch normalisation on edges, ImageNet without labels: the paper's.

Paper: linear probes 13.4 / 32.3 / 41.0 / 39.6 / 38.2 % on conv1 to conv5, ImageNet; VOC 2007
73.7 % mAP classification, 55.4 % detection, all layers (Caron et al., 2018, Tables 1 and 2).
Ours: not run (ImageNet is not at hand); see `deep_cluster_alexnet_cifar10_cpu.py`.
Cost: 12 days of one GPU in the paper, 500 epochs. To be kept free in the run's folder: 10.5 GB for
the features of 1.28 million pictures (4096 numbers of 16 bits), 1.3 GB for the points, 5 MB for the
assignment of each epoch. In memory: blocks of 64 MB and some 0.8 GB for the principal components
of 4096 features, whatever the number of pictures. faiss: pip install keras_pretext[deep_cluster].
Command: keras-pretext pretrain recipes/deep_cluster_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="deep_cluster_alexnet_paper",
    task=("deep_cluster", {"clusters": 10000, "pca": 256, "image_size": 224}),
    backbone=("alexnet", {"flavour": "deepcluster", "sobel": True}),
    data="tfds:imagenet2012",
    test_split=None,
    epochs=500,
    batch_size=256,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=1e-5,
    precision="mixed_bfloat16",
    deterministic=False,
)
