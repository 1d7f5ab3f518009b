"""The scoreboard: every number of every card beside the papers' rows, as Markdown."""

import pathlib

from keras_pretext.evaluation.report.facts import heading, number, results, title

HEAD = """# Scoreboard

Every measured number of every published model beside what the papers print, and what was tried and
not published. Made from the cards; a test checks that it is current:
`keras-pretext scoreboard --root zoo --out docs/scoreboard.md`.

- A table holds one protocol on one data set; numbers of two tables are not comparable.
- Ours: accuracy, unless said, in % of the last epoch, mean ± standard deviation over the
  classifier's seeds, of one pretrained network. What the cards' pretraining costs is a small part
  of the papers'.
- "R1" and so on are the [tables of the papers](report.md) that the package holds as data.
"""


def scoreboard(names=None, root=None):
    """Markdown of all cards, and of what was tried and not published.

    Args:
        names: zoo names; all by default.
        root: a folder of entries, in place of the zoo's own.

    Returns:
        str.

    Raises:
        ValueError: where there is no card.
    """
    from keras_pretext import zoo
    from keras_pretext.zoo import store

    if root is not None:
        folders = sorted(path.parent for path in pathlib.Path(root).glob("*/*/card.json"))
        cards = [zoo.info(str(folder.resolve())) for folder in folders]
    else:
        cards = [zoo.info(name) for name in (zoo.list() if names is None else names)]
    if not cards:
        raise ValueError(f"a scoreboard needs a published model. Received: none in {root or 'zoo'}")
    lines = [HEAD, "## Pretext tasks", "", *_trainings(cards)]
    for group in results(cards):
        lines += ["", f"## {heading(group)}", "", *table(group)]
        if group["note"]:
            lines += ["", f"{group['data'].rpartition('/')[0]}: {group['note']}."]
        if group["elsewhere"]:
            lines += ["", "The papers, by the same protocol on other data or of other quantities "
                      "(not comparable):", ""]
            lines += elsewhere(group)
        lines += [""] * bool(group["notes"]) + [f"- {note}" for note in group["notes"]]
    places = store.roots() if root is None else [root]
    aside = [one for place in places for one in store.tried(place)] if names is None else []
    if aside:
        lines += ["", "## Tried, not published", "",
                  "An entry has a tap that beats random weights of the same architecture by more "
                  "than twice the larger spread. What has not, or is none for another reason, each "
                  "with its best tap:", "",
                  *_trainings(aside), "", "| tried | protocol on data | epochs | tap | trained | "
                  "random weights | remark |", "|---" * 7 + "|"]
        lines += [line for one in aside for line in _outcome(one)]
    return "\n".join(lines) + "\n"


def _trainings(cards):
    """Markdown rows: what each is, what it took, what it can do of its own task."""
    lines = ["| model | task | backbone | trained on | pictures seen | minutes | held-out accuracy "
             "| chance |", "|---" * 8 + "|"]
    for card in cards:
        pretext, data = card.get("pretext") or {}, card.get("data") or {}
        cells = [f"{title(card)}", card["task"]["name"], card["backbone"]["name"],
                 data.get("name", "not recorded"), _number(card.get("images_seen"), ",d"),
                 _number(card.get("wall_seconds") and card["wall_seconds"] / 60, ".0f"),
                 _percent(pretext.get("test_accuracy")), _percent(pretext.get("chance_accuracy"))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _outcome(card):
    """Markdown rows of what was tried, one a protocol: its best tap, and random weights there."""
    lines = []
    for group in results([card]):
        trained = [row for row in group["rows"] if row["weights"] != "random"]
        random = next((row for row in group["rows"] if row["weights"] == "random"), None)
        for row in trained:
            tap, value = max(row["values"].items(), key=lambda item: item[1]["mean"])
            other = random["values"].get(tap) if random else None
            cells = [card["name"], heading(group), str(row["epochs"] or ""), tap, _spread(value),
                     _spread(other) if other else "", card.get("limits") or ""]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def _spread(value):
    return f"{value['mean']:.2f} ± {value['std']:.2f}"


def table(group):
    """Markdown rows of one protocol on one data set, ours and the papers'."""
    taps = columns(group)
    lines = ["| model | weights | epochs | " + " | ".join(taps) + " |",
             "|---" * (3 + len(taps)) + "|"]
    for row in group["rows"]:
        epochs = row["epochs"] if row["labels_a_class"] is None else (
            f"{row['epochs']}, {row['labels_a_class']} labels a class")
        cells = [row["model"], row["weights"], "" if epochs is None else str(epochs)]
        cells += ["" if tap not in row["values"] else
                  _spread(row["values"][tap]) for tap in taps]
        lines.append("| " + " | ".join(cells) + " |")
    for row in group["paper"]:
        cells = [f"{row['method']}, {row['table']}", "paper", ""]
        cells += [number(row["values"][tap]) if tap in row["values"] else "" for tap in taps]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def columns(group):
    """The taps of a table: ours, then those that only the papers have."""
    return [*dict.fromkeys([*group["taps"], *(c for row in group["paper"] for c in row["values"])])]


def elsewhere(group):
    """Markdown rows of the papers' numbers on other data."""
    lines = ["| paper | data | unit | values |", "|---" * 4 + "|"]
    for row in group["elsewhere"]:
        values = ", ".join(f"{column} {number(value)}" for column, value in row["values"].items())
        lines.append(f"| {row['method']}, {row['table']} | {row['data']} | {row['unit']} | "
                     f"{values} |")
    return lines


def _number(value, form):
    return "not recorded" if value is None else format(value, form)


def _percent(share):
    return "" if share is None else f"{100 * share:.1f} %"
