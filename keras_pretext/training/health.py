"""The health line: is this run learning, and if not, how does it fail?"""

import math


class NotFinite(RuntimeError):
    """The loss became NaN or infinite."""


class Health:
    """Follows the loss and says in a few words how the run is.

    Args:
        chance: the task's `{"loss", "accuracy"}` of knowing nothing.
        patience: images after which a run still at chance is called stuck.
    """

    def __init__(self, chance, patience=20000):
        self.chance, self.patience = chance, patience
        self.images, self.mean, self.best = 0, None, math.inf

    def update(self, logs, images):
        """`logs` of a step (`loss` is the running mean of the epoch) and its number of images."""
        self.images += images
        loss = logs["loss"]
        self.mean = loss if self.mean is None else 0.95 * self.mean + 0.05 * loss
        self.best = min(self.best, self.mean)

    def line(self):
        if self.mean is None:
            return "no step yet"
        level = self.chance["loss"]
        if self.mean > 0.98 * level:
            if self.best < 0.8 * level:
                return f"collapsed: loss {self.mean:.3f} is back at chance {level:.3f}"
            if self.images >= self.patience:
                return (f"still at chance (loss {self.mean:.3f}, chance {level:.3f}) "
                        f"after {self.images} images")
            return f"at chance ({level:.3f}) so far"
        return f"learning: loss {self.mean / level:.0%} of chance"

    def state(self):
        return {"images": self.images, "mean": self.mean,
                "best": None if math.isinf(self.best) else self.best}

    def set_state(self, state):
        self.images, self.mean = state["images"], state["mean"]
        self.best = math.inf if state["best"] is None else state["best"]
