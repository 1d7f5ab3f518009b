"""Split-brain AlexNet, part of Tiny-ImageNet, two CPU cores.

Paper: 67.1 % classification on VOC 2007 at full size (Zhang et al., CVPR 2017).
Ours: the nearest of 313 colours at 25.7 % of the places, the lightness among 100 at 3.8 % (chance 1
%); on CIFAR-10 at 64 pixels, 5 probe epochs, 3 seeds: linear conv2 50.52 % (random weights 44.19 %,
supervised 52.09 %), non-linear conv3 68.62 % (63.14 %, 70.43 %): `split_brain_alexnet`; after 3
epochs instead of 12: 47.27 and 66.01 %. Pictures of 64 pixels are seen at 112, not 180; no fully
connected layers (dilated convolutions are slow on a CPU).
Cost: 36 minutes on one CPU core with AMX that shared its host.
Command: keras-pretext pretrain recipes/split_brain_alexnet_tiny_imagenet_cpu.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="split_brain_alexnet",
    task=("split_brain", {"image_size": 112, "stride": 8, "levels": 100, "tap": "conv5",
                          "framing": {"kind": "random_resized_crop", "size": 112,
                                      "scale": [0.4, 1.0]}}),
    backbone=("split_alexnet", {"fc_units": [], "image_size": 112}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=12,
    batch_size=64,
    learning_rate=0.001,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
)
