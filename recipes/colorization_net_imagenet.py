"""Colouring pictures: the eight-block network of Zhang, Isola and Efros, ImageNet without labels.

Paper: 32 % of the coloured pictures were taken for the real ones (Zhang et al., 2016).
Ours: not run (ImageNet is not at hand); see `smoke/colorization_scenes.py`. About 450,000 steps of
40 pictures; Adam's second beta is 0.999, where the authors have 0.99.
Cost: 14 epochs of a network as heavy as VGG-16; made for a GPU.
Command: keras-pretext pretrain recipes/colorization_net_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="colorization_net_paper",
    task=("colorization", {"image_size": 176, "stride": 4, "framing": {
        "kind": "resize_crop", "size": 176, "resize": 256}}),
    backbone="colorization_net",
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=14,
    batch_size=40,
    learning_rate=3e-5,
    schedule={"kind": "steps", "epochs": [6.2, 11.7], "factors": [1 / 3, 0.1]},
    optimizer="adam",
    weight_decay=1e-3,
    precision="mixed_bfloat16",
    deterministic=False,
)
