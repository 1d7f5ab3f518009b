"""RotNet-AlexNet on the largest natural pictures at hand (part of Tiny-ImageNet), two CPU cores.

Paper: linear probes 18.8 / 31.7 / 38.7 / 38.2 / 36.5 % on ImageNet (Gidaris et al., 2018, Table 5).
Ours: 7.76 / 9.33 / 10.03 / 9.58 / 8.60 % on pool1, pool2, conv3, conv4, pool5 of 202 classes;
random weights 6.01 / 5.86 / 5.52 / 5.07 / 4.46 % (15 probe epochs, 3 seeds; every tap is on the
card of `rotnet_alexnet`). Pictures are 64 pixels wide: the network sees them at 112 instead of
224, and its two hidden fully connected layers have 1024 units instead of 4096.
Cost: 46 minutes on two busy CPU cores.
Command: keras-pretext pretrain recipes/rotnet_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="rotnet_alexnet",
    task=("rotation", {"image_size": 112, "framing": {
        "kind": "random_resized_crop", "size": 112, "scale": [0.4, 1.0]}}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [1024, 1024], "image_size": 112}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=8,
    batch_size=64,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
