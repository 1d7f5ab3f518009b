"""Motion segmentation of drawn frames, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance for the accuracy is the share of pixels that stand still.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/motion_segmentation_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="motion_segmentation_scenes",
    task=("motion_segmentation", {"image_size": 32, "stride": 4,
                                  "framing": {"kind": "resize_crop", "size": 32, "resize": 36}}),
    backbone=("resnet", {"flavour": "cifar", "depth": 20, "output_stride": 4}),
    data="moving",
    epochs=0.5,
    batch_size=32,
    learning_rate=0.002,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
    test_images=256,
)
