"""A recipe: everything that makes a training run, in one value."""

import dataclasses
import hashlib
import json
import pathlib
import runpy

from keras_pretext.registry import unknown_name

_KINDS = {str: (str, "a word"), int: (int, "a whole number"), bool: (bool, "true or false"),
          float: (int | float, "a number"), dict: (dict, 'a dict, such as {"kind": "constant"}'),
          str | None: (str | None, "a word, or null for none")}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Task, backbone, data and schedule of a run; the same value trains on any host.

    Attributes:
        name: of the run and of the model made by it.
        task: `(name, config)` as `tasks.get` takes them.
        backbone: `(name, config)` as `backbones.get` takes them.
        data: what `data.open` takes; the training split is `split`, the other `test_split`.
        epochs: passes over the data; a fraction is allowed.
        batch_size: images a step over all replicas (RotNet sees each four times).
        learning_rate: the first rate, or the peak of a one-cycle schedule.
        schedule: see `schedules.build`.
        optimizer: "sgd", "adam" or "rmsprop".
        momentum, nesterov: of the SGD; the first beta of Adam; RMSProp has none.
        weight_decay: coupled, on every variable, as in Torch.
        precision: "float32" or "mixed_bfloat16", which crawls on a CPU without AVX-512 BF16.
        seed: of the weights, the order of the images and all draws.
        initial: a zoo name or run folder: training begins with its backbone's weights, as Wang, He
            and Gupta (2017) begin with context prediction's; None: with new ones.
        deterministic: ask TensorFlow for bitwise reproducible kernels.
        checkpoint_steps: steps between two checkpoints.
        test_images: how many test images measure the pretext accuracy.
    """

    name: str
    task: tuple
    backbone: tuple
    data: str
    split: str = "train"
    test_split: str | None = "test"
    epochs: float = 100
    batch_size: int = 128
    learning_rate: float = 0.1
    schedule: dict = dataclasses.field(default_factory=lambda: {"kind": "constant"})
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    precision: str = "float32"
    seed: int = 0
    initial: str | None = None
    deterministic: bool = True
    checkpoint_steps: int = 200
    test_images: int = 2000

    def __post_init__(self):
        for field in ("task", "backbone"):
            value = getattr(self, field)
            if isinstance(value, str):
                object.__setattr__(self, field, (value, {}))
            elif not (isinstance(value, tuple | list) and len(value) == 2
                      and isinstance(value[0], str) and isinstance(value[1], dict)):
                raise ValueError(f"{field} is (name, config). Received: {value!r}")
        for field in dataclasses.fields(self):
            kind, words = _KINDS.get(field.type, (None, None))
            value = getattr(self, field.name)
            if kind and (not isinstance(value, kind)
                         or isinstance(value, bool) and field.type is not bool):
                raise ValueError(f"{field.name} is {words}. Received: {value!r}")
        if self.precision not in ("float32", "mixed_bfloat16"):
            raise ValueError("precision is 'float32' or 'mixed_bfloat16'. "
                             f"Received: {self.precision!r}")
        for field in ("epochs", "batch_size", "checkpoint_steps", "test_images"):
            if not 0 < getattr(self, field) < float("inf"):
                raise ValueError(f"{field} is positive. Received: {getattr(self, field)!r}")
        for field in ("learning_rate", "weight_decay", "seed"):
            if not getattr(self, field) >= 0:
                raise ValueError(f"{field} is at least 0. Received: {getattr(self, field)!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is in [0, 1). Received: {self.momentum!r}")

    def replace(self, **fields):
        """A copy with other values. Raises ValueError, with the nearest name, for unknown fields.

        "task.NAME" and "backbone.NAME" are options of the two, "task.NAME.OPTION" one of an
        option that is itself a dict, such as "task.framing.size".
        """
        for name in [*fields]:
            field, *path = name.split(".")
            if path and field in ("task", "backbone"):
                kind, options = fields.get(field, getattr(self, field))
                fields[field] = (kind, _replaced(options, path, fields.pop(name), name))
        known = [f.name for f in dataclasses.fields(self)]
        for name in fields:
            if name not in known:
                raise ValueError(unknown_name("recipe field", name, known))
        return dataclasses.replace(self, **fields)

    def to_dict(self):
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, fields):
        known = {f.name for f in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise ValueError(unknown_name("recipe field", name, known))
        return cls(**fields)

    def fingerprint(self):
        """Changes with every field that changes the weights a run ends with."""
        fields = {k: v for k, v in self.to_dict().items() if k not in ("name", "test_images")}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def build_task(self):
        from keras_pretext import tasks

        return tasks.get(self.task[0], **self.task[1])

    def build_backbone(self):
        from keras_pretext import backbones

        return backbones.get(self.backbone[0], **self.backbone[1])


def _replaced(options, path, value, name):
    """Options with another value at a path of names, in copies."""
    first, *rest = path
    if rest:
        inner = options.get(first, {})
        if not isinstance(inner, dict):
            raise ValueError(f"only options of an option that is a dict are set one by one; "
                             f"{first} is {inner!r}. Received: {name}")
        value = _replaced(inner, rest, value, name)
    return {**options, first: value}


def load_recipe(path, **overrides):
    """The value `recipe` of a recipe file, or of a run folder or `recipe.json`.

    Raises:
        ValueError: where there is no such file or no recipe in it.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / "recipe.json"
    if not path.is_file():
        near = [str(p) for p in sorted(path.parent.glob("*.py"))]
        raise ValueError(unknown_name("recipe file", str(path), near))
    if path.suffix == ".json":
        recipe = Recipe.from_dict(json.loads(path.read_text()))
    else:
        recipe = runpy.run_path(str(path)).get("recipe")
    if not isinstance(recipe, Recipe):
        raise ValueError(f"a recipe file holds `recipe = Recipe(...)`. Received: {path}")
    return recipe.replace(**overrides) if overrides else recipe
