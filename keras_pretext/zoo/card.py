"""The card of an entry: what it is, where it comes from, what was measured."""

import dataclasses
import os
import re

from keras_pretext.registry import unknown_name


@dataclasses.dataclass
class Card:
    """What card.json holds. Fields that nobody knows are None, and the README says so.

    Args:
        name, version: of the entry.
        task, backbone: `{"name": registered name, "config": {...}}`.
        taps: tap name to `{"channels", "stride"}`.
        image_size: side in pixels at which it was trained and is served.
        parameters: number of weights, the head's included.
        storage: `{"dtype", "largest_change"}` of the weights on disk: what rounding them changed
            in the golden answers, as a share of a tap's largest value.
        golden_tolerance: difference of a golden answer that `verify` allows, as such a share.
        data: `{"name", "split", "num_examples", "fingerprint"}` of what it was trained on.
        recipe: every field of the recipe.
        command: the line that trains it again.
        versions: of Python and the libraries.
        seed: of the training.
        images_seen, wall_seconds, hardware: what it took, `recipe["initial"]` not counted.
        pretext: metrics of the pretext task on held-out pictures.
        metrics: a list of `evaluation.ProbeResult.to_dict()`: of this entry, and of random and
            supervised weights under the same protocol (`settings.weights_from` tells which).
        over_training: what `keras-pretext curve --json` wrote: a dict a snapshot, see
            `evaluation.over_training`.
        paper: protocol to `{"source": ..., "taps": {tap: accuracy in %}}`.
        licence, limits: terms, and what not to expect of it.
    """

    name: str
    version: int
    task: dict
    backbone: dict
    taps: dict
    image_size: int
    parameters: int | None = None
    storage: dict | None = None
    golden_tolerance: float | None = None
    data: dict | None = None
    recipe: dict | None = None
    command: str | None = None
    versions: dict | None = None
    seed: int | None = None
    images_seen: int | None = None
    wall_seconds: float | None = None
    hardware: dict | str | None = None
    pretext: dict | None = None
    metrics: list | None = None
    over_training: list | None = None
    paper: dict | None = None
    licence: str | None = None
    limits: str | None = None

    def __post_init__(self):
        check(self.to_dict())

    def to_dict(self):
        return dataclasses.asdict(self)


FIELDS = tuple(field.name for field in dataclasses.fields(Card))


def check(fields):
    """Raises ValueError for a field that no card has, or a metric that cannot be read later."""
    for name in fields:
        if name not in FIELDS:
            raise ValueError(unknown_name("field of a zoo card", name, FIELDS))
    for metric in fields.get("metrics") or ():
        values = metric.get("taps") if isinstance(metric, dict) else None
        whole = isinstance(values, dict) and metric.get("protocol") and all(
            {"last_mean", "last_std", "best_mean"} <= set(v) for v in values.values())
        if not whole:
            raise ValueError("a metric of a card is a ProbeResult's to_dict(): a protocol's name "
                             "and, for each tap, last_mean, last_std and best_mean. "
                             f"Received: {str(metric)[:200]}")
    for row in fields.get("over_training") or ():
        known = isinstance(row, dict) and {"epoch", "pretext", "object", "object_std"} <= set(row)
        if not known:
            raise ValueError("a row over training has epoch, pretext, object and object_std, as "
                             f"`curve --json` writes it. Received: {row!r}")
    for protocol, row in (fields.get("paper") or {}).items():
        if not isinstance(row, dict) or not {"source", "taps"} <= set(row):
            raise ValueError("a paper's row is {'source': ..., 'taps': {tap: accuracy in %}}. "
                             f"Received: {row!r} for {protocol}")


def weights_of(metric, name):
    """Whose weights a metric of the card `name` is of: "this entry", "random", "supervised" ...

    `probe` knows a model by what it was called with: a name, with or without a version, or the
    place where it lay.
    """
    weights = (metric.get("settings") or {}).get("weights_from", "this entry")
    own = re.sub(r"@\d+$", "", weights) == name or os.sep in weights
    return "this entry" if own else weights


def epochs_of(metric):
    """How long a metric's heads were trained, as tables tell it: epochs, or "E, K crops"."""
    settings = metric.get("settings") or {}
    epochs, crops = settings.get("epochs"), settings.get("crops")
    return f"{epochs}, {crops} crops" if crops else epochs


def render(card):
    """A card (a dict) as Markdown."""
    task, backbone = card["task"], card["backbone"]
    lines = [f"# {card['name']}, version {card['version']}", "",
             f"Task `{task['name']}` {_shown(task['config'])}", "",
             f"Backbone `{backbone['name']}` {_shown(backbone['config'])}", ""]
    taps = ", ".join(f"`{tap}` ({v['channels']} channels, stride {v['stride']})"
                     for tap, v in card["taps"].items())
    data, seconds, storage = (card.get(k) for k in ("data", "wall_seconds", "storage"))
    begun = (card.get("recipe") or {}).get("initial")
    for title, value in (
            ("Taps", taps), ("Image size", f"{card['image_size']} pixels"),
            ("Parameters", _thousands(card.get("parameters"))),
            ("Weights on disk", storage and f"{storage['dtype']}; rounding changed the golden "
                                            f"answers by {storage['largest_change']:.1e}"),
            ("Data", data and f"{data.get('name')}/{data.get('split')}, "
                              f"{_thousands(data.get('num_examples'))} images, fingerprint "
                              f"`{str(data.get('fingerprint'))[:16]}`"),
            *([("Begins with", f"the backbone of `{begun}`")] if begun else []),
            ("Command", card.get("command") and f"`{card['command']}`"),
            ("Seed", card.get("seed")), ("Images seen", _thousands(card.get("images_seen"))),
            ("Wall time", None if seconds is None else f"{seconds / 60:.0f} minutes"),
            ("Hardware", _shown(card.get("hardware"))), ("Versions", _shown(card.get("versions"))),
            ("Licence", card.get("licence")), ("Known limits", card.get("limits") or None)):
        lines.append(f"- **{title}**: {'not recorded' if value is None else value}")
    if card.get("pretext"):
        lines += ["", "## Pretext task", ""]
        lines += [f"- {k}: {v:.4f}" if isinstance(v, float) else f"- {k}: {v}"
                  for k, v in sorted(card["pretext"].items())]
    if card.get("metrics"):
        lines += ["", "## Probes", "", "Accuracy in %, last epoch (best epoch), mean and standard "
                  "deviation over the probe's seeds.", ""]
        lines += probe_table(card["metrics"], card.get("paper") or {})
    lines += ["", "## Use", "", "```python", "from keras_pretext import zoo", "",
              f'model = zoo.load("{card["name"]}@{card["version"]}", '
              f'taps="{[*card["taps"]][-1]}", pooling="avg")',
              "features = model(images)  # (batch, height, width, 3), RGB in 0..255", "```"]
    return "\n".join(lines) + "\n"


def _thousands(number):
    return f"{number:,}" if isinstance(number, int) else number


def _shown(value):
    """A config on one line: `a=1, b=2`."""
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{k} {v}" if isinstance(v, str) else f"{k}={v}" for k, v in value.items())


def probe_table(metrics, paper):
    """Markdown rows: a line for each (protocol, weights), a column for each tap.

    Where not all are of the same pictures at the same size, another column says which.
    `paper` maps a protocol to `{"source": ..., "taps": {tap: accuracy in %}}`.
    """
    taps = [*dict.fromkeys(tap for m in metrics for tap in m["taps"])]
    several = len({pictures_of(m) for m in metrics}) > 1
    rows = ["| protocol | " + "pictures | " * several + "weights | epochs | " + " | ".join(taps)
            + " |", "|---" * (3 + several + len(taps)) + "|"]
    for protocol in dict.fromkeys(m["protocol"] for m in metrics):
        for m in (m for m in metrics if m["protocol"] == protocol):
            settings, cells = m.get("settings") or {}, []
            for tap in taps:
                v = m["taps"].get(tap)
                cells.append("" if v is None else f"{100 * v['last_mean']:.2f} ± "
                             f"{100 * v['last_std']:.2f} ({100 * v['best_mean']:.2f})")
            rows.append(f"| {protocol} | " + f"{pictures_of(m)} | " * several
                        + f"{settings.get('weights_from', 'this entry')} | "
                        f"{_trained(m)} | "
                        + " | ".join(cells) + " |")
        if protocol in paper:
            cells = [str(paper[protocol]["taps"].get(tap, "")) for tap in taps]
            rows.append(f"| {protocol} | " + " | " * several + f"{paper[protocol]['source']} | | "
                        + " | ".join(cells) + " |")
    return rows


def _trained(metric):
    """The table's cell of a probe's epochs and, where these are few, labels."""
    few, epochs = (metric.get("settings") or {}).get("labels_a_class"), epochs_of(metric)
    parts = [epochs, few and f"{few} labels a class"]
    return ", ".join(str(part) for part in parts if part is not None)


def pictures_of(metric):
    """What a probe was trained on, as the table has it: `cifar10_jpeg, 64 px`."""
    settings = metric.get("settings") or {}
    name = str(settings.get("train", "")).rpartition("/")[0]
    return f"{name}, {settings['image_size']} px" if "image_size" in settings else name
