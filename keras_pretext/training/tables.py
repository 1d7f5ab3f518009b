"""What a task learns from the data: before training, or while it trains (labels by index)."""

import json

import keras
import numpy as np

from keras_pretext.data.source import digest
from keras_pretext.training import checkpoint


def prepared(task, source, seed, folder, write=True):
    """What the task's `prepare` gives, from the run's `prepared.npz` if it is there, else into it
    (unless `write` is False).

    Raises:
        ValueError: where the file was made from other data.
    """
    path = folder / "prepared.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            kept = {name: file[name] for name in file.files}
        if str(kept.pop("data")) != source.fingerprint():
            raise ValueError("what this run has prepared is of other data. Use another folder, or "
                             f"that data. Received: {source.name!r} for {path}")
        return kept
    found = task.prepare(source, seed)
    if found and write:
        checkpoint.write_atomically(path, lambda p: np.savez(
            open(p, "wb"), data=np.array(source.fingerprint()), **found))
    return found


def checked(kept, fresh, place):
    """The tables of a checkpoint, where they have the names, shapes and dtypes of fresh ones.

    Raises:
        ValueError: for tables of other data or another version of the task.
    """
    def shapes(tables):
        return {name: f"{t.dtype}{list(t.shape)}" for name, t in sorted(tables.items())}

    if shapes(kept) != shapes(fresh):
        raise ValueError(f"the checkpoint's tables do not fit the data and the task, which need "
                         f"{shapes(fresh)}. Received: {shapes(kept)} in {place}")
    return kept


def write(folder, tables):
    """`tables.npz` and its fingerprint, `tables.json`, in a run's final folder."""
    if not tables:
        return
    checkpoint.write_atomically(folder / "tables.npz",
                                lambda p: np.savez(open(p, "wb"), **tables))
    checkpoint.write_json(folder / "tables.json", fingerprint(tables))


def fingerprint(tables):
    """SHA-256 of each table, its dtype and its shape."""
    return {name: digest(json.dumps([str(t.dtype), t.shape]), t) for name, t in tables.items()}


def labels(trainer, inputs, given):
    """The labels that the task's `before_step` chooses, as the step takes them.

    Under a strategy the task sees the batch of all replicas, and each replica gets its share.
    """
    chosen = trainer.task.before_step(trainer, _whole(trainer, given),
                                      lambda: _outputs(trainer, inputs))
    if trainer.replicas == 1 or keras.backend.backend() != "tensorflow":
        return keras.ops.convert_to_tensor(chosen)
    parts = np.split(chosen, trainer.replicas)
    return trainer.strategy.experimental_distribute_values_from_function(
        lambda context: keras.ops.convert_to_tensor(
            parts[context.replica_id_in_sync_group]))


def _outputs(trainer, inputs):
    """What the model will answer in the step to come, nothing updated: NumPy, the whole batch.

    Training mode: the dropout masks and batch statistics are those of that step.
    """
    model = trainer.model

    def answer(trainable, others, inputs):
        return model.stateless_call(trainable, others, inputs, training=True)[0]

    if keras.backend.backend() == "tensorflow":
        if not hasattr(trainer, "_answer"):
            import tensorflow as tf

            def values(inputs):
                return answer([v.value for v in model.trainable_variables],
                              [v.value for v in model.non_trainable_variables], inputs)

            trainer._answer = tf.function(lambda x: trainer.strategy.run(values, args=(x,)))
        return _whole(trainer, trainer._answer(inputs))
    if not hasattr(trainer, "_answer"):
        import jax

        trainer._answer = jax.jit(answer)
    return _whole(trainer, trainer._answer(*trainer._state[:2], inputs))


def _whole(trainer, value):
    """A batch's values from all replicas, in order, as one NumPy array."""
    if trainer.cluster.count > 1:
        return trainer.cluster.whole(value)
    if trainer.replicas > 1 and keras.backend.backend() == "tensorflow":
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in
                               trainer.strategy.experimental_local_results(value)])
    return keras.ops.convert_to_numpy(value)
