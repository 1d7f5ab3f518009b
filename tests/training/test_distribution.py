"""Two logical CPU devices, each test in a process of its own."""

import subprocess
import sys
import textwrap

import numpy as np

_SCRIPT = """
import sys
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_pretext.training import Recipe, Trainer
from keras_pretext import backbones, layers
import keras

replicas, xla, out, npz = int(sys.argv[1]), sys.argv[2] == "xla", sys.argv[3], sys.argv[4]
devices = ["CPU:0", "CPU:1"][:replicas]
strategy = tf.distribute.MirroredStrategy(
    devices, cross_device_ops=tf.distribute.ReductionToOneDevice()) if replicas > 1 else None
# Batch statistics are a replica's own: frozen, the losses and gradients must agree.
network = ("resnet", {"depth": 11, "blocks": 2, "flavour": "cifar"})
recipe = Recipe(name="two", task="rotation", backbone=network,
                data="npz:" + npz, test_split=None, epochs=1, batch_size=16, learning_rate=0.05,
                deterministic=not xla)
trainer = Trainer(recipe, out, strategy=strategy, xla=xla, progress=False, max_steps=4)
for layer in trainer.model.backbone.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.trainable = False
row = trainer.run()
if replicas > 1:  # what is saved of statistics that replicas keep apart is their mean, also here
    moving = [v for v in trainer.model.non_trainable_variables if "moving" in v.path]
    before = [np.asarray(v) for v in moving]

    @tf.function
    def apart():
        def one():
            which = tf.distribute.get_replica_context().replica_id_in_sync_group
            for v in moving:
                v.value.assign_add(tf.fill(v.shape, tf.cast(2 * which, "float32")))
        strategy.run(one)

    apart()
    trainer._save()
    for v, value in zip(moving, before, strict=True):
        for part in strategy.experimental_local_results(v.value):
            np.testing.assert_allclose(part, value + 1, rtol=1e-4, atol=1e-4)
np.savez(out + "/end.npz", loss=row["loss"], *[np.asarray(v) for v in
                                              trainer.model.trainable_variables])
"""


def _run(tmp_path, npz, replicas, xla="plain"):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(_SCRIPT))
    out = tmp_path / f"{replicas}{xla}"
    subprocess.run([sys.executable, script, str(replicas), xla, str(out), str(npz)], check=True,
                   capture_output=True, timeout=900)
    with np.load(out / "end.npz") as file:
        return [file[k] for k in sorted(file.files)]


def test_loss_and_gradients_depend_neither_on_the_replicas_nor_on_xla(tmp_path, npz):
    expected = _run(tmp_path, npz, 1)
    for replicas, xla in ((2, "plain"), (2, "xla")):
        for a, b in zip(expected, _run(tmp_path, npz, replicas, xla), strict=True):
            np.testing.assert_allclose(a, b, atol=5e-5, rtol=1e-4)
