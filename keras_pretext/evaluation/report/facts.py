"""What is known of models without looking into them: cards, results, the papers' rows."""

import json
import os
import pathlib
import statistics

from keras_pretext.evaluation import reference
from keras_pretext.evaluation.probe import CLASSES
from keras_pretext.zoo.card import check, epochs_of, weights_of

# Data sets that stand in for those of the papers, and how they differ.
STAND_INS = {"cifar10_jpeg": ("cifar10", "CIFAR-10 whose pictures were re-encoded as JPEG: near "
                                         "to CIFAR-10's numbers, not equal")}
_POINTS = 200  # of a curve, at most
# what a logged row holds besides losses, metrics and the task's figures
_BOOKKEEPING = {"step", "epoch", "images", "seconds", "learning_rate", "images_per_second",
                "model_images_per_second", "data_wait", "health", "test_images"}


def card_of(name, metrics=()):
    """The card of a zoo entry, or what a finished run's folder tells in a card's fields.

    Args:
        name: a zoo name, the folder of an entry, the SavedModel in one, or a run's folder.
        metrics: more results, as `ProbeResult.to_dict` gives them.

    Returns:
        dict with the fields of `zoo.Card` that are known, `curves` among them for a run.

    Raises:
        ValueError: where there is no card, or nothing was measured.
    """
    from keras_pretext.zoo import info

    path = pathlib.Path(name)
    if (path / "final").is_dir() or (path / "manifest.json").is_file():
        card = _run_card(path)
    elif path.suffix in (".keras", ".h5") or (
            path.name == "saved_model.pb" or (path / "saved_model.pb").is_file()):
        folder = path.parent if path.is_file() else path
        if path.suffix in (".keras", ".h5") or not (folder.parent / "card.json").is_file():
            raise ValueError("a report is about a model with a card: a zoo name, the folder of an "
                             "entry (or the SavedModel in it) or of a finished run. A file of "
                             f"weights or a SavedModel alone has none. Received: {name}")
        card = info(str(folder.parent) + os.sep)
    else:
        card = info(name)
    card["metrics"] = [*(card.get("metrics") or ()), *metrics]
    check({"metrics": card["metrics"], "paper": card.get("paper")})
    if not card["metrics"] and not card.get("pretext"):
        raise ValueError("the card holds no measured number: neither `pretext` nor `metrics`. "
                         "`keras-pretext probe MODEL --json FILE` measures, `--metrics FILE` adds "
                         f"it. Received: {name}")
    return card


def _run_card(folder):
    kept = {}
    for file in ("manifest.json", "final/metrics.json"):
        try:
            kept[file] = json.loads((folder / file).read_text())
        except (OSError, ValueError):
            raise ValueError(f"a finished run has {file}; here it is missing or damaged. "
                             f"Received: {folder}") from None
    manifest, measured = kept["manifest.json"], kept["final/metrics.json"]
    recipe = manifest["recipe"]
    return {"name": recipe["name"], "version": None,
            "task": dict(zip(("name", "config"), recipe["task"], strict=True)),
            "backbone": dict(zip(("name", "config"), recipe["backbone"], strict=True)),
            **{field: manifest.get(field) for field in ("data", "recipe", "command", "versions",
                                                        "hardware", "parameters")},
            "seed": recipe["seed"], "images_seen": measured.get("images_seen"),
            "wall_seconds": measured.get("wall_seconds"), "health": measured.get("health"),
            "pretext": {k: v for k, v in measured.items() if k.startswith("test_")},
            "curves": curves(folder / "metrics.jsonl")}


def curves(path):
    """What `metrics.jsonl` logged: name to a list of (images seen, value); None without a file.

    Names are `loss`, the metrics of training and the task's figures, and `test_...`; at most 200
    points each.
    """
    if not pathlib.Path(path).is_file():
        return None
    found, images = {}, 0
    for line in pathlib.Path(path).read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a run that was killed
            continue
        images = row.get("images", images)
        for name, value in row.items():
            if name not in _BOOKKEEPING and isinstance(value, int | float):
                found.setdefault(name, []).append((images, value))
    step = {name: -(-len(points) // _POINTS) for name, points in found.items()}
    return {name: points[::-1][::step[name]][::-1] for name, points in found.items()}


def results(cards):
    """All results of some cards, grouped so that what stands in one table is comparable.

    Args:
        cards: as `card_of` gives them.

    Returns:
        a list of dicts, one a protocol, test data and metric, in the cards' order:

        - `protocol`, `data` (the test split), `metric`, `taps` (columns: taps, or classes where
          the metric is their accuracy, at each network's best tap, without a spread);
        - `rows`: `model`, `weights` ("this entry", "random" ...), `seeds`, `epochs` (a text where
          the heads were trained on random crops), `labels_a_class`, `image_size` and
          `values`: tap to `mean`, `std`, `best` (in %) and `scores`; where several
          runs differ in nothing but their seed, also a row of their mean and spread;
        - `paper`: the papers' rows of the same protocol and data: `table`, `source`, `method`,
          `data`, `values` (by our tap where there is one, else by their column) and `unit`;
        - `elsewhere`: as `paper`, of the same protocol on other data or of other quantities: not
          comparable;
        - `note`: how the data differ from the papers', or None;
        - `notes`: the papers' sources, and what is to be known of their rows.
    """
    groups, runs = {}, {}
    for card in cards:
        for metric in card.get("metrics") or ():
            settings = metric.get("settings") or {}
            key = (metric["protocol"], settings.get("test") or "data not recorded",
                   metric.get("metric", "accuracy"))
            group = groups.setdefault(key, {"tasks": [], "rows": []})
            group["tasks"].append(card["task"]["name"])
            weights = weights_of(metric, card["name"])
            row = {"model": title(card), "weights": weights,
                   "seeds": len(next(iter(metric["taps"].values()), {}).get("last", ())),
                   "epochs": epochs_of(metric),
                   "labels_a_class": settings.get("labels_a_class"),
                   "image_size": settings.get("image_size"),
                   "values": {tap: {"mean": 100 * v["last_mean"], "std": 100 * v["last_std"],
                                    "best": 100 * v["best_mean"],
                                    "scores": [100 * s for s in v.get("last", ())]}
                              for tap, v in metric["taps"].items()}}
            if row not in group["rows"]:
                group["rows"].append(row)
                told = _of_each_class(metric, row)
                if told:
                    groups.setdefault((*key[:2], CLASSES), {"tasks": group["tasks"], "rows": []})[
                        "rows"].append(told)
                if weights == "this entry" and _but_seed(card):
                    same = key, _but_seed(card), str(row["epochs"]), row["labels_a_class"]
                    runs.setdefault(same, {})[card["seed"]] = row
    for (key, *_), seeds in runs.items():
        if len(seeds) > 1:
            groups[key]["rows"].append(_over_runs(seeds))
    out = []
    for (protocol, test, measure), group in groups.items():
        data, note = STAND_INS.get(test.rpartition("/")[0] or test, (test.rpartition("/")[0], None))
        ours = {*group["tasks"], "random", "classification"}
        printed = [row for row in reference.beside(protocol)
                   if row.ours in ours and row.of_classes == (measure == CLASSES)]
        taps = dict.fromkeys(tap for row in group["rows"] for tap in row["values"])
        split, notes = {"paper": [], "elsewhere": []}, {}
        for row in printed:
            values = {row.taps.get(column, column): value for column, value in row.values.items()}
            beside = row.data == data and not values.keys().isdisjoint(taps)
            split["paper" if beside else "elsewhere"].append({
                "table": row.table, "source": row.source, "title": row.title, "data": row.data,
                "method": row.method, "unit": row.unit, "values": values})
            notes[f"{row.table}: {row.title}. {row.source}."] = None
            if row.note:
                notes[f"{row.table}, {row.method}: {row.note}"] = None
            notes.update(dict.fromkeys(f"{row.table}: {one}" for one in row.notes))
        if measure == CLASSES and not split["paper"]:
            continue  # of each class only where a paper tells too
        out.append({"protocol": protocol, "data": test, "metric": measure, "taps": [*taps],
                    "rows": group["rows"], **split, "note": note, "notes": [*notes]})
    return out


def _of_each_class(metric, row):
    """A row of the best tap's classes, where a metric tells of them; else None."""
    tap = max(row["values"], key=lambda tap: row["values"][tap]["mean"])
    details = metric.get("details")
    told = details.get(tap) if isinstance(details, dict) else None
    if not isinstance(told, dict) or CLASSES not in told:
        return None
    return {**row, "weights": f"{row['weights']}, {tap}", "values": {
        name: {"mean": 100 * share, "std": None, "best": 100 * share, "scores": []}
        for name, share in told[CLASSES].items()}}


def _but_seed(card):
    """What tells runs apart that differ in more than their seed; None where it is not recorded."""
    recipe = card.get("recipe")
    if not recipe or card.get("seed") is None:
        return None
    return json.dumps({k: v for k, v in recipe.items() if k not in ("seed", "name")},
                      sort_keys=True, default=str)


def _over_runs(seeds):
    """The row of several pretraining runs, from seed to row: mean and spread of the runs' means."""
    rows = [*seeds.values()]
    values = {}
    for tap in rows[0]["values"]:
        if all(tap in row["values"] for row in rows):
            means, best = ([row["values"][tap][k] for row in rows] for k in ("mean", "best"))
            values[tap] = {"mean": statistics.mean(means), "std": statistics.stdev(means),
                           "best": statistics.mean(best), "scores": means}
    named = ", ".join(map(str, sorted(seeds)))
    return {**rows[0], "model": f"{len(rows)} runs (seeds {named})", "weights": "their mean",
            "values": values}


def heading(group):
    """What a table of results is called."""
    metric = "" if group["metric"] == "accuracy" else f", {group['metric']}"
    return f"{group['protocol']} on {group['data']}{metric}"


def number(value):
    """A paper's number with one digit behind the point, or two where it has them."""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def spread(value):
    """A mean of ours in %, and its deviation where it has one."""
    return f"{value['mean']:.2f}" + ("" if value["std"] is None else f" ± {value['std']:.2f}")


def title(card):
    """`name@version`, or the name of a run."""
    return card["name"] + (f"@{card['version']}" if card.get("version") else "")


def about(card):
    """(what, value) of a card's provenance, for people; what is not recorded says so."""
    data, seconds = card.get("data"), card.get("wall_seconds")
    hardware, versions = card.get("hardware"), card.get("versions")
    taps = card.get("taps") or {}
    rows = [
        ("Task", f"{card['task']['name']} ({shown(card['task'].get('config'))})"),
        ("Backbone", f"{card['backbone']['name']} ({shown(card['backbone'].get('config'))})"),
        ("Taps", ", ".join(f"{tap} ({v['channels']} channels, stride {v['stride']})"
                           for tap, v in taps.items()) or None),
        ("Parameters", card.get("parameters") and f"{card['parameters']:,}"),
        ("Trained on", data and f"{data.get('name')}/{data.get('split')}, "
                                f"{data.get('num_examples') or 0:,} pictures"),
        ("Pictures seen", card.get("images_seen") and f"{card['images_seen']:,}"),
        ("Time", None if seconds is None else f"{seconds / 60:.0f} minutes"),
        ("On", shown(hardware) if isinstance(hardware, dict) else hardware),
        ("Seed", card.get("seed")), ("Command", card.get("command")),
        ("With", shown(versions) if isinstance(versions, dict) else versions),
        ("Licence", card.get("licence")), ("Known limits", card.get("limits") or None)]
    return [(what, "not recorded" if value is None else str(value)) for what, value in rows]


def shown(config):
    """A dict on one line, nested parts left out of what people need not read."""
    if not config:
        return "as it comes"
    return ", ".join(f"{k} {v}" for k, v in config.items()
                     if v is not None and k != "name" and not isinstance(v, dict))
