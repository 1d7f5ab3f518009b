"""Split-brain AlexNet on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: loss 7.32, chance 9.66; 9.7 % of the colours, 4.1 % of the lightness.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/split_brain_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="split_brain_scenes",
    task=("split_brain", {"image_size": 32, "stride": 4, "levels": 50, "tap": "conv5", "framing": {
        "kind": "resize_crop", "size": 32, "resize": 36}}),
    backbone=("split_alexnet", {"image_size": 32, "conv1_stride": 2}),
    data="scenes",
    epochs=1,
    batch_size=32,
    learning_rate=0.002,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    test_images=500,
)
