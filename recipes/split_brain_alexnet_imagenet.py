"""Split-brain AlexNet, ImageNet without labels.

Paper: classification 67.1 %, detection 46.7 % (VOC 2007 mAP), segmentation 36.0 % (VOC 2012 mIoU;
Zhang et al., CVPR 2017).
Ours: not run (ImageNet is not at hand); see `split_brain_alexnet_tiny_imagenet_cpu.py`. The paper's
own schedule could not be confirmed: it is that of the colorization recipe.
Cost: 28 epochs; made for a GPU.
Command: keras-pretext pretrain recipes/split_brain_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="split_brain_alexnet_paper",
    task=("split_brain", {"image_size": 180, "stride": 8, "levels": 100, "framing": {
        "kind": "resize_crop", "size": 180, "resize": 256}}),
    backbone=("split_alexnet", {"fc_units": [4096, 4096], "image_size": 180}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=28.1,
    batch_size=80,
    learning_rate=3e-5,
    schedule={"kind": "steps", "epochs": [15.0, 18.7, 25.0], "factors": [1 / 3, 0.1, 1 / 30]},
    optimizer="adam",
    weight_decay=1e-3,
    precision="mixed_bfloat16",
    deterministic=False,
)
