"""Learning rates as functions of the step."""

import keras
from keras import ops

from keras_pretext.registry import unknown_name


@keras.saving.register_keras_serializable(package="keras_pretext")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to the peak, then a cosine to zero (Smith and Topin, 2018, simplified)."""

    def __init__(self, peak, total_steps, warmup=0.15):
        self.peak, self.total_steps, self.warmup = peak, total_steps, warmup

    def __call__(self, step):
        x = ops.cast(step, "float32") / max(self.total_steps, 1)
        up = (x + 1.0 / max(self.total_steps, 1)) / max(self.warmup, 1e-6)
        down = ops.clip((x - self.warmup) / (1.0 - self.warmup), 0.0, 1.0)
        return self.peak * ops.minimum(up, 0.5 * (1.0 + ops.cos(3.14159265 * down)))

    def get_config(self):
        return {"peak": self.peak, "total_steps": self.total_steps, "warmup": self.warmup}


def build(spec, learning_rate, steps_per_epoch, epochs):
    """A Keras schedule from a recipe's `schedule`.

    Args:
        spec: `{"kind": "constant"}`, `{"kind": "one_cycle", "warmup": 0.15}`, or
            `{"kind": "steps", "epochs": (30, 60, 80), "factor": 0.2}`; or, with "factors", the
            shares of the first rate after each of the epochs.
        learning_rate: the first rate, or the peak.
    """
    options = dict(spec)
    kind = options.pop("kind", None)
    known = ("constant", "one_cycle", "steps")
    if kind not in known:
        raise ValueError(unknown_name("schedule", kind, known))
    if kind == "one_cycle":
        return OneCycle(learning_rate, round(steps_per_epoch * epochs), **options)
    if kind == "steps":
        ends = [round(e * steps_per_epoch) - 1 for e in options["epochs"]]
        shares = options.get("factors") or [options["factor"] ** k for k in range(1, len(ends) + 1)]
        rates = [learning_rate, *(learning_rate * share for share in shares)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    return learning_rate
