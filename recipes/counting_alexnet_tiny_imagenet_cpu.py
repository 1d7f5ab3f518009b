"""Counting with tiles of 32 pixels, part of Tiny-ImageNet, two CPU cores.

Paper: 51.4 % mAP on VOC 2007 detection at full size (Noroozi et al., 2017).
Ours: 95.1 % of held-out pictures are nearer to their own tiles than to another's (chance 50 %);
linear conv3, conv4, conv5 on CIFAR-10 at 64 pixels (12,500 pictures, 10 probe epochs, 3 seeds)
41.54 +- 0.06 / 40.10 +- 0.93 / 38.62 +- 0.23 % against 37.07 +- 0.60 / 35.86 +- 0.49 /
34.69 +- 0.29 % for random weights (of all 50,000: the card of
`counting_alexnet`). After 3 epochs it was 89.3 % and hardly above random.
With SGD (rate 0.0005) the counts of most pictures became zero: 59.6 % after 10 epochs. All pictures
have the same mean and deviation, or a cast of colour answers (93.9 % after 2 epochs, features no
better than random).
Crops of 64 pixels, no dropout, fully connected layers of 1024 units instead of 4096.
Cost: 57 minutes on two busy CPU cores.
Command: keras-pretext pretrain recipes/counting_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="counting_alexnet",
    task=("counting", {"tile": 32, "standardize": True}),
    backbone=("alexnet", {"flavour": "deepcontext", "conv1_stride": 2, "image_size": 32,
                          "fc_units": [1024, 1024]}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=10,
    batch_size=64,
    learning_rate=0.0003,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
