"""The autoencoder of the tables: AlexNet up to pool5 and back, ImageNet without labels.

Paper: 53.8 % mAP on VOC 2007 classification, 41.9 % on detection, 25.2 % mIoU on VOC 2012
segmentation, hardly above random weights (the row "Autoencoder" of Pathak et al., CVPR 2016,
table 2). Rate and schedule are those of `inpainting_alexnet_imagenet.py`.
Ours: not run (ImageNet is not at hand); see `autoencoder_alexnet_tiny_imagenet_cpu.py`.
Cost: 14 hours of one Titan X in the paper.
Command: keras-pretext pretrain recipes/autoencoder_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="autoencoder_alexnet_paper",
    task=("autoencoder", {"image_size": 227}),
    backbone=("alexnet", {"flavour": "deepcluster", "fc_units": []}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=20,  # 100,000 steps
    batch_size=256,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule={"kind": "steps", "epochs": [15], "factor": 0.1},
    precision="mixed_bfloat16",
    deterministic=False,
)
