"""The health line: is this run learning, and if not, how does it fail?"""

import math


class NotFinite(RuntimeError):
    """The loss became NaN or infinite."""


class Health:
    """Follows the loss and says in a few words how the run is.

    Args:
        chance: the task's `{"loss", "accuracy"}` of knowing nothing.
        patience: images after which a run still at chance is called stuck.
        diagnose: None, or a function without arguments that gives the line, or None where it
            has nothing to say: what only the task knows (`Task.diagnose`).

    Attributes:
        images: how many the run has seen.
        means: every value of the logs, smoothed over some twenty steps.
        best: the lowest smoothed loss.
    """

    def __init__(self, chance, patience=20000, diagnose=None):
        self.chance, self.patience, self.diagnose = chance, patience, diagnose
        self.images, self.means, self.best = 0, {}, math.inf

    @property
    def mean(self):
        """The smoothed loss; None before the first step."""
        return self.means.get("loss")

    def update(self, logs, images):
        """`logs` of a step (`loss` is the running mean of the epoch) and its number of images."""
        self.images += images
        for name, value in logs.items():
            former = self.means.get(name)
            self.means[name] = value if former is None else 0.95 * former + 0.05 * value
        self.best = min(self.best, self.mean)

    def line(self):
        if self.mean is None:
            return "no step yet"
        found = self.diagnose and self.diagnose()
        if found:
            return found
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
        return {"images": self.images, "means": self.means,
                "best": None if math.isinf(self.best) else self.best}

    def set_state(self, state):
        self.images = state["images"]
        self.means = dict(state["means"] if "means" in state else {"loss": state["mean"]})
        self.best = math.inf if state["best"] is None else state["best"]
