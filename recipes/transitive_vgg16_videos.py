"""Transitive invariance, VGG-16, pairs mined from videos: the paper's network.

Paper: 63.2 % mAP on VOC 2007 detection (Wang, He and Gupta, ICCV 2017, Table 1); tracking pairs
alone 60.2, two tasks 62.1 % (Table 2).
Ours: not run (the paper's videos are not at hand); see `transitive_vgg16_videos_cpu.py`. The paper
makes 200,000 steps on 9 million pairs and begins with the convolutions of context prediction; here
they begin at random, but for --set initial=RUN_OR_NAME.
Cost: not known; made for a GPU.
Command: keras-pretext pretrain recipes/transitive_vgg16_videos.py
Ablations: tracking only --set split=intra; two tasks --set split=intra+inter --set
task.multi_task=true; on pairs mined with --set track_length=15, or with --set model=hog.
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="transitive_vgg16",
    task="transitive",
    backbone=("vgg", {"depth": 16}),
    data="pairs:runs/mined",  # of keras-pretext mine VIDEOS --out runs/mined
    test_split=None,
    epochs=2.2,
    batch_size=100,
    learning_rate=0.001,
    precision="mixed_bfloat16",
    deterministic=False,
)
