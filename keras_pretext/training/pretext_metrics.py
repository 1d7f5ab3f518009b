"""The pretext task's own loss and metrics on held-out pictures."""

import keras
import numpy as np

from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.masks import seen_by


def evaluate(model, source, batch_size=64, images=None):
    """Loss and metrics of a PretextModel's task, pictures framed centrally, draws of seed 0.

    Args:
        model: a PretextModel, for instance of `load_run` or `zoo.load`.
        source: a `Source` of held-out pictures.
        batch_size: pictures at a time; the remainder of the last batch counts too.
        images: how many of the first pictures; all by default.

    Returns:
        dict of floats: `loss`, each metric of the task, and `images`, their number.
    """
    layer = _test_layer(model)
    count = min(images or source.num_examples, source.num_examples)
    batch_size = min(batch_size, count)
    kept = [(v, keras.ops.convert_to_numpy(v)) for v in model.metrics_variables]
    model.reset_metrics()
    run, loss, seen = forward(model), 0.0, 0
    try:
        for inputs, labels in batches(source, layer, batch_size, count):
            outputs = run(inputs)
            labels = model.task.held_out(outputs, labels)
            part = int(keras.ops.shape(keras.tree.flatten(labels)[0])[0])
            loss += part * float(model.compute_loss(x=inputs, y=labels, y_pred=outputs,
                                                    training=False))
            seen += part
            logs = model.compute_metrics(inputs, labels, outputs)
        found = {k: float(v) for k, v in logs.items()}
    finally:
        model.reset_metrics()
        for variable, value in kept:
            variable.assign(value)
    return {**found, "loss": loss / seen, "images": seen}


def forward(model):
    """The model without training, compiled once."""
    if not hasattr(model, "_evaluated"):
        def run(inputs):
            return model(inputs, training=False)

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            run = tf.function(run, reduce_retracing=True)
        elif keras.backend.backend() == "jax":
            import jax

            answer = jax.jit(lambda *arguments: model.stateless_call(*arguments)[0])

            def run(inputs):
                return answer([v.value for v in model.trainable_variables],
                              [v.value for v in model.non_trainable_variables], inputs)
        object.__setattr__(model, "_evaluated", run)
    return model._evaluated


def _test_layer(model):
    """The task's layer without augmentation: as long as the task stays the same, the same object,
    of which JAX then has compiled code.
    """
    config = str(model.task.get_config())
    if getattr(model, "_test_layer", (None,))[0] != config:
        object.__setattr__(model, "_test_layer", (config, model.task.layer(augment=False)))
    return model._test_layer[1]


def batches(source, layer, batch_size, count):
    """Yields `(inputs, pseudolabels)` of the first `count` examples, in order, draws of seed 0."""
    if keras.backend.backend() == "tensorflow":
        steps = -(-count // batch_size)
        stream = pipelines.pipeline(source, layer, batch_size, 0, shuffle=False, steps=steps)
        for k, batch in enumerate(stream):
            left = count - k * batch_size
            yield keras.tree.map_structure(lambda t, left=left: t[:left], batch)
    else:
        from keras_pretext.data.draws import draws

        images, labels = seen_by(source, layer).arrays()
        puzzle = compiled(layer)
        for start in range(0, count, batch_size):
            index = np.arange(start, min(start + batch_size, count))
            inputs, pseudolabels = puzzle(
                keras.ops.convert_to_tensor(images[index]),
                keras.ops.convert_to_tensor(draws(0, 0, index, layer.num_draws)))
            yield inputs, (labels[index] if layer.uses_labels else
                           index if layer.uses_index else pseudolabels)


def compiled(layer):
    """A task's layer as one operation of the device, where the backend is JAX: else as it is."""
    if keras.backend.backend() != "jax":
        return layer
    if not hasattr(layer, "_compiled"):
        import jax

        object.__setattr__(layer, "_compiled", jax.jit(lambda *arguments: layer(*arguments)))
    return layer._compiled
