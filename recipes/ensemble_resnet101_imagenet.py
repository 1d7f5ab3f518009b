"""Relative patch, colorization, exemplars and motion segmentation on one ResNet-101, without
labels: the paper's trunk.

Paper: ImageNet top-5 69.3 % of all four (70.2 % evaluated with the lasso, 69.4 % also trained with
it), PASCAL VOC 2007 mAP 70.5 %; top-5 of RP 59.2, RP+Col 66.6, RP+Ex 65.2, RP+MS 63.7, RP+Col+Ex
68.7 % (Doersch and Zisserman, ICCV 2017).
Ours: not run (ImageNet is not at hand); see `ensemble_resnet_cifar10_cpu.py`. All tasks see the
same pictures, so with MS they are frames with masks: --set data=tfrecord:... of what `keras-pretext
mine` has written. The paper's learning rates and batch sizes could not be confirmed.
Cost: 17,000 GPU hours in the paper; made for several GPUs.
Command: keras-pretext pretrain recipes/ensemble_resnet101_imagenet.py
Other rows: --set 'task.only=["rp"]', '["rp", "col"]', '["rp", "ex"]', '["rp", "ms"]',
'["rp", "col", "ex"]' or '["rp", "col", "ex", "ms"]', each also with --set task.lasso=0.01; with
--set task.harmonise=true relative patch sees the greys of colorization.
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="ensemble_resnet101",
    task=("ensemble", {
        "tasks": {"rp": ["relative_patch", {"pool": 3, "hidden": [4096, 4096]}],
                  "col": ["colorization", {"image_size": 176, "stride": 8,
                                           "prior": "tiny_imagenet_part"}],
                  "ex": ["exemplar_triplet", {"copies": 2, "image_size": 96, "dim": 1024,
                                              "negatives": "all"}],
                  "ms": ["motion_segmentation", {"image_size": 176, "stride": 8}]},
        "only": ["rp", "col", "ex"]}),
    backbone=("resnet", {"depth": 101}),
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=35,
    batch_size=64,
    learning_rate=0.001,
    optimizer="rmsprop",
    weight_decay=0.0,
    precision="mixed_bfloat16",
    deterministic=False,
)
