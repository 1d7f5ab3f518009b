"""Four tasks on one trunk with the lasso, drawn frames, a minute on two CPU cores.

Paper: none; a smoke test of the task.
Ours: printed at the end.
Cost: about a minute on two CPU cores.
Command: keras-pretext pretrain recipes/smoke/ensemble_scenes.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="ensemble_scenes",
    task=("ensemble", {
        "tasks": {"rp": ["relative_patch", {"patch": 12, "gap": 6, "jitter": 1, "grid": 2,
                                            "hidden": [64], "framing": {"kind": "resize_crop",
                                                                        "size": 32}}],
                  "col": ["colorization", {"image_size": 32, "stride": 4,
                                           "prior": "cifar10_jpeg"}],
                  "ex": ["exemplar_triplet", {"copies": 2, "image_size": 24, "dim": 64,
                                              "negatives": "all",
                                              "framing": {"kind": "centre_crop", "size": 32}}],
                  "ms": ["motion_segmentation", {"image_size": 32, "stride": 4}]},
        "lasso": 0.01}),
    backbone=("resnet", {"flavour": "cifar", "depth": 20, "output_stride": 4}),
    data="moving",
    epochs=0.3,
    batch_size=16,
    learning_rate=0.002,
    schedule={"kind": "one_cycle"},
    optimizer="adam",
    weight_decay=0.0,
    precision="mixed_bfloat16",
    test_images=128,
)
