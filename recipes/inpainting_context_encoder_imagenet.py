"""Inpainting of the central block, context encoder at 128 pixels, ImageNet without labels.

Paper: pictures, not features (Pathak et al., CVPR 2016, section 5.1). Adam, weights 0.999 and
0.001, the discriminator at a tenth of the rate, as in the released code.
Ours: not run (ImageNet is not at hand); see `inpainting_context_encoder_tiny_imagenet_cpu.py`.
The released code trains 500 epochs; the 100,000 steps here are those of the paper's other network,
which took 14 hours of a Titan X.
Cost: not known.
Command: keras-pretext pretrain recipes/inpainting_context_encoder_imagenet.py
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="inpainting_paper",
    task=("inpainting", {"region": "central", "overlap": 4, "adversarial": 0.001,
                         "rate_ratio": 10.0, "image_size": 128}),
    backbone="context_encoder",
    data="tfds:imagenet2012",
    test_split="validation",
    epochs=5,  # 100,000 steps
    batch_size=64,
    optimizer="adam",
    learning_rate=2e-3,
    momentum=0.5,
    weight_decay=0.0,
    deterministic=False,
)
