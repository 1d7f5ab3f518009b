"""Colorization by an AlexNet of lightness, part of Tiny-ImageNet, two CPU cores.

Paper: linear probes 12.5 / 24.5 / 30.4 / 31.5 / 30.3 % on ImageNet (Gidaris et al., 2018, Table 5).
Ours: 5 epochs from the weights of 30 on a GPU (`colorization_alexnet_tiny_imagenet.py`): loss 3.76
(4.29 for a constant answer), the nearest of 313 colours at 16.5 % of the places. On CIFAR-10 at 64
pixels, 5 probe epochs, 3 seeds: linear conv2 43.98 % (random weights 36.06 %), non-linear conv3
60.80 % (54.52 %): `colorization_alexnet`. 3 epochs from new weights, when colours were still asked
up to 15 pixels beside the cells that told them: loss 3.87, linear conv2 38.18 %, but non-linear
conv3 54.50 %. The network is RotNet's (convolutions in groups and dilated ones are slow on a CPU)
without its fully connected layers, on lightness; pictures of 64 pixels are seen at 112 instead of
180, and colours are asked at 14x14 places.
Cost: 12 minutes on one CPU core that shared its host, for 3 epochs or, with AMX, 5.
Command: keras-pretext pretrain recipes/colorization_alexnet_tiny_imagenet_cpu.py
The entry: --set initial=colorization_alexnet@1 (no longer shipped) --set epochs=5
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="colorization_alexnet",
    task=("colorization", {"image_size": 112, "stride": 8, "tap": "conv5",
                           "prior": "tiny_imagenet_part",
                           "framing": {"kind": "random_resized_crop", "size": 112,
                                       "scale": [0.4, 1.0]}}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [], "image_size": 112, "color": "L"}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=3,
    batch_size=64,
    learning_rate=0.001,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
)
