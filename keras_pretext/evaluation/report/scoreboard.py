"""The scoreboard: every number of every card beside the papers' rows, as Markdown."""

import pathlib

from keras_pretext.evaluation.report.facts import heading, number, results, title

HEAD = """# Scoreboard

Every measured number of every published model, beside what the papers print. Made from the cards by
`keras-pretext scoreboard --out docs/scoreboard.md`; a test checks that it is current.

- A table holds one protocol on one data set; numbers of two tables are not comparable.
- Ours: accuracy, unless said, in % of the last epoch, mean ± standard deviation over the
  classifier's seeds, of one pretrained network. What the cards' pretraining costs is a small part
  of the papers'.
- "R1" and so on are the [tables of the papers](report.md) that the package holds as data.
"""


def scoreboard(names=None, root=None):
    """Markdown of all cards.

    Args:
        names: zoo names; all by default.
        root: a folder of entries, in place of the zoo's own.

    Returns:
        str.

    Raises:
        ValueError: where there is no card.
    """
    from keras_pretext import zoo

    if root is not None:
        folders = sorted(path.parent for path in pathlib.Path(root).glob("*/*/card.json"))
        cards = [zoo.info(str(folder.resolve())) for folder in folders]
    else:
        cards = [zoo.info(name) for name in (zoo.list() if names is None else names)]
    if not cards:
        raise ValueError(f"a scoreboard needs a published model. Received: none in {root or 'zoo'}")
    lines = [HEAD, "## Pretext tasks", "",
             "| model | task | backbone | trained on | pictures seen | minutes | held-out accuracy "
             "| chance |", "|---" * 8 + "|"]
    for card in cards:
        pretext, data = card.get("pretext") or {}, card.get("data") or {}
        cells = [f"{title(card)}", card["task"]["name"], card["backbone"]["name"],
                 data.get("name", "not recorded"), _number(card.get("images_seen"), ",d"),
                 _number(card.get("wall_seconds") and card["wall_seconds"] / 60, ".0f"),
                 _percent(pretext.get("test_accuracy")), _percent(pretext.get("chance_accuracy"))]
        lines.append("| " + " | ".join(cells) + " |")
    for group in results(cards):
        lines += ["", f"## {heading(group)}", "", *table(group)]
        if group["note"]:
            lines += ["", f"{group['data'].rpartition('/')[0]}: {group['note']}."]
        if group["elsewhere"]:
            lines += ["", "The papers, by the same protocol on other data or of other quantities "
                      "(not comparable):", ""]
            lines += elsewhere(group)
        lines += [""] * bool(group["notes"]) + [f"- {note}" for note in group["notes"]]
    return "\n".join(lines) + "\n"


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
                  f"{row['values'][tap]['mean']:.2f} ± {row['values'][tap]['std']:.2f}"
                  for tap in taps]
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
