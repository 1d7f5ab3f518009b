"""The smallest Exemplar-CNN, and the largest, 2,000 seeds of part of Tiny-ImageNet, two CPU cores.

Paper: 67.1 % on STL-10 with 8 times the classes (Dosovitskiy et al., TPAMI 2016, Table 1).
Ours: tells 59.3 % of other patches of the 2,000 seeds (chance 0.05 %). On CIFAR-10, 5 probe epochs,
3 seeds: linear conv2 42.46 % (random weights 40.95 %), but non-linear pool2 62.78 % (random weights
65.84 %); `exemplar_cnn_tiny_imagenet.py` has what a GPU made of it. Begins with 200 classes.
Cost: 8 minutes on one CPU core that shared its host.
Command: keras-pretext pretrain recipes/exemplar_cnn_tiny_imagenet_cpu.py
The largest size (80 minutes on two cores with AVX-512 BF16 that ran tests at times; 94.8 % of other
patches; linear pool2 48.86 %, random weights 44.82 %: `exemplar_cnn_92c5-256c5-512c5-1024f`):
--set backbone.network=92c5-256c5-512c5-1024f --set task.visits=20 --set task.start=[200,2]
--set epochs=12 --set learning_rate=0.015 --set 'schedule={"kind":"one_cycle","warmup":0.03}'
"""

from keras_pretext.training import Recipe

recipe = Recipe(
    name="exemplar_cnn",
    task=("exemplar", {"num_classes": 2000, "visits": 15, "start": [200, 1]}),
    backbone=("exemplar_cnn", {"network": "64c5-64c5-128f"}),
    data="tiny_imagenet_part",
    test_split="validation",
    epochs=10,
    batch_size=64,
    learning_rate=0.05,
    schedule={"kind": "one_cycle"},
    weight_decay=5e-4,
    precision="mixed_bfloat16",
    test_images=256,
)
