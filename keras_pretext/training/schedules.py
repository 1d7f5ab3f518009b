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


_OPTIONS = {"constant": (), "one_cycle": ("warmup",), "steps": ("epochs", "factor", "factors")}


def _numbers(values):
    return isinstance(values, list | tuple) and all(isinstance(v, int | float) for v in values)


def _wrong(kind, options):
    """What is wrong with the options of a schedule, in words; None where nothing is."""
    warmup, epochs = options.get("warmup", 0), options.get("epochs")
    if not (_numbers([warmup]) and 0 <= warmup < 1):
        return "a `warmup` is the share of the run, 0 to less than 1"
    if kind != "steps":
        return None
    if not epochs or not _numbers(epochs) or [*epochs] != sorted(epochs) or epochs[0] < 0:
        return "the schedule 'steps' has `epochs`, ascending"
    factors = options.get("factors", [options.get("factor")] * len(epochs))
    if not _numbers(factors) or len(factors) != len(epochs) or {"factor", "factors"} <= {*options}:
        return "the schedule 'steps' has a `factor`, or `factors`, one for each of its epochs"
    return None


def build(spec, learning_rate, steps_per_epoch, epochs):
    """A Keras schedule from a recipe's `schedule`.

    Args:
        spec: `{"kind": "constant"}`, `{"kind": "one_cycle", "warmup": 0.15}`, or
            `{"kind": "steps", "epochs": (30, 60, 80), "factor": 0.2}`; or, with "factors", the
            shares of the first rate after each of the epochs.
        learning_rate: the first rate, or the peak.

    Raises:
        ValueError: for an unknown kind or option, or values that make no schedule.
    """
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in _OPTIONS:
        raise ValueError(unknown_name("schedule", kind, _OPTIONS))
    for name in options:
        if name not in _OPTIONS[kind]:
            raise ValueError(unknown_name(f"option of the schedule {kind!r}", name,
                                          _OPTIONS[kind]))
    if wrong := _wrong(kind, options):
        raise ValueError(f"{wrong}. Received: {spec}")
    if kind == "one_cycle":
        return OneCycle(learning_rate, round(steps_per_epoch * epochs), **options)
    if kind == "steps":
        ends = [round(e * steps_per_epoch) - 1 for e in options["epochs"]]
        shares = options.get("factors") or [options["factor"] ** k for k in range(1, len(ends) + 1)]
        rates = [learning_rate, *(learning_rate * share for share in shares)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    return learning_rate
