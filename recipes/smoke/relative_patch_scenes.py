"""Context prediction on the embedded scenes, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end; chance is 0.125.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/relative_patch_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="relative_patch_scenes",
    task=("relative_patch", {"patch": 16, "gap": 8, "jitter": 1, "hidden": [256, 128],
                             "framing": {"kind": "area_crop", "size": 66,
                                         "area": [4_400, 6_400]}}),
    backbone=("network_in_network", {"blocks": 2}),
    data="scenes",
    epochs=0.5,
    batch_size=16,
    learning_rate=0.02,
    schedule={"kind": "one_cycle"},
    precision="mixed_bfloat16",
    test_images=500,
)
