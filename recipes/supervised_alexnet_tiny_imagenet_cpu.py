"""Supervised AlexNet on part of Tiny-ImageNet: a reference for the AlexNets of 64 pixels.

Paper: linear probes 19.3 / 36.3 / 44.2 / 48.3 / 50.5 % on ImageNet (quoted by Gidaris et al., 2018,
Table 5).
Ours: tells 22.0 % of 202 classes. On CIFAR-10 at 64 pixels, 5 probe epochs, 3 seeds: linear 49.56 /
53.11 / 50.87 / 49.49 / 48.14 %, non-linear conv3 69.94 %: `supervised_alexnet`.
Cost: 23 minutes on one CPU core that was shared at times.
Command: keras-pretext pretrain recipes/supervised_alexnet_tiny_imagenet_cpu.py
The references of the other networks on the zoo's cards are the same with --set epochs=5 and
Sobel, lightness: --set backbone.sobel=true, --set backbone.color=L
split-brain: --set 'backbone=["split_alexnet",{"flavour":"colorization_half"}]'
deepcontext (exemplar triplets): --set backbone.flavour=deepcontext --set learning_rate=0.02
the same at 32 pixels (jigsaw, cdjp, context, counting): and --set backbone.conv1_stride=2
    --set backbone.image_size=32 --set task.image_size=32 --set task.framing.size=32
ResNet, VGG, Exemplar-CNN: --set task.image_size=32 --set task.framing.size=32
    --set 'backbone=["resnet",{"depth":20,"blocks":3,"output_stride":4,"flavour":"cifar"}]'
    --set 'backbone=["vgg",{"depth":16,"batch_norm":true,"image_size":32,"fc_units":[]}]'
    --set 'backbone=["exemplar_cnn",{"network":"64c5-64c5-128f"}]'
    --set 'backbone=["exemplar_cnn",{"network":"92c5-256c5-512c5-1024f"}]'
    --set 'backbone=["exemplar_cnn",{"network":"64c5-128c5-256c5-512f"}]' --set precision=float32
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="supervised_alexnet",
    task=("classification", {"num_classes": 202, "image_size": 64, "framing": {
        "kind": "random_resized_crop", "size": 64, "scale": [0.4, 1.0]}}),
    backbone=("alexnet", {"flavour": "rotnet", "fc_units": [], "image_size": 64}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=10,
    batch_size=64,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    nesterov=True,
    weight_decay=5e-4,
    precision="mixed_bfloat16",
)
