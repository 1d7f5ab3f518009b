"""Inpainting of random regions with AlexNet up to pool5, ImageNet without labels: features.

Paper: 56.5 % mAP on VOC 2007 classification, 44.5 % on detection, 30.0 % mIoU on VOC 2012
segmentation (Pathak et al., CVPR 2016, table 2). Squared error only; the first weights and the rate
are ours, the flavour has batch normalisation.
Ours: not run (ImageNet is not at hand); see `inpainting_alexnet_tiny_imagenet_cpu.py`.
Cost: 14 hours of one Titan X in the paper.
Command: keras-pretext pretrain recipes/inpainting_alexnet_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="inpainting_alexnet_paper",
    task=("inpainting", {"region": "random", "overlap": 0, "adversarial": 0.0,
                         "image_size": 227}),
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
