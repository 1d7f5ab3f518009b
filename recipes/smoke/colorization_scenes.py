"""The eight-block colorization network, narrow, on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: loss 4.39, chance 4.30: one epoch is too short for this deep network, and the scenes' colours
follow little from their lightness. It is here to be run, not to be good.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/colorization_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="colorization_scenes",
    task=("colorization", {"image_size": 32, "stride": 4, "framing": {
        "kind": "resize_crop", "size": 32, "resize": 36}}),
    backbone=("colorization_net", {"width": 0.125}),
    data="scenes",
    epochs=1,
    batch_size=32,
    learning_rate=0.002,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    test_images=500,
)
