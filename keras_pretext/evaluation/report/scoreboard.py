"""The scoreboard: every number of every card beside the papers' rows, as Markdown."""

from keras_pretext.evaluation.report.facts import heading, number, results, spread, title

MARK = "<!-- made by keras-pretext scoreboard -->"
HEAD = """# Scoreboard

Every measured number of every published model beside what the papers print, and what was tried and
not published. Made from the cards; a test checks that it is current:
`keras-pretext scoreboard --root zoo --out docs/scoreboard.md --page docs/zoo.md`.

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
    from keras_pretext.zoo import store

    cards = _cards(names, root)
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
    lines += _over_training(cards)
    places = store.roots() if root is None else [root]
    aside = [one for place in places for one in store.tried(place)] if names is None else []
    if aside:
        lines += ["", "## Tried, not published", "",
                  "By each protocol that random weights of the same architecture were measured by, "
                  "an entry's best tap beats them by more than twice the larger spread. What has "
                  "not, or is none for another reason, each with its best tap:", "",
                  *_trainings(aside), "", "| tried | protocol on data | epochs | tap | trained | "
                  "random weights | remark |", "|---" * 7 + "|"]
        for one in aside:
            for row in _outcomes(one):
                cells = [one["name"], row["heading"], str(row["epochs"] or ""), row["tap"],
                         spread(row["trained"]), spread(row["random"]) if row["random"] else "",
                         one.get("limits") or ""]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def with_entries(page, root=None):
    """A Markdown page whose lines between two `MARK`s are the table of a zoo's entries.

    Args:
        page: str, as it was.
        root: as of `scoreboard`.

    Returns:
        str.

    Raises:
        ValueError: where the page has not two marks, or there is no card.
    """
    parts = page.split(MARK)
    if len(parts) != 3:
        raise ValueError(f"the table of entries stands between two lines {MARK}. "
                         f"Received: a page with {len(parts) - 1}")
    lines = ["| entry | task | backbone | learnt from | pixels | best tap, % | random weights "
             "there |", "|---" * 7 + "|"]
    for card in _cards(None, root):
        place = f"../zoo/{card['name']}/{card['version']}/README.md"
        best, random = _best(card)
        cells = [f"[`{card['name']}`]({place})", card["task"]["name"], card["backbone"]["name"],
                 (card.get("data") or {}).get("name", "not recorded"), str(card["image_size"]),
                 best, random]
        lines.append("| " + " | ".join(cells) + " |")
    return parts[0] + MARK + "\n" + "\n".join(lines) + "\n" + MARK + parts[2]


def _best(card):
    """The best tap by the card's first protocol, and random weights there, in words."""
    row = next(_outcomes(card), None)
    if row is None:
        return "not measured", "not measured"
    return f"{row['tap']} {spread(row['trained'])} ({row['heading']})", (
        spread(row["random"]) if row["random"] else "not measured")


def _cards(names, root):
    from keras_pretext import zoo
    from keras_pretext.zoo import store

    if root is not None:
        cards = [zoo.info(str(path.parent.resolve()))
                 for path in store.cards(root, "*/*/card.json")]
    else:
        cards = [zoo.info(name) for name in (zoo.list() if names is None else names)]
    if not cards:
        raise ValueError(f"a scoreboard needs a published model. Received: none in {root or 'zoo'}")
    return cards


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


def _over_training(cards):
    """Markdown of the cards that tell how pretext and object accuracy went."""
    lines, seen = [], {title(card): card.get("images_seen") or 0 for card in cards}
    for card in cards:
        rows = card.get("over_training")
        if not rows:
            continue
        begun = (card.get("recipe") or {}).get("initial")
        count = (card.get("data") or {}).get("num_examples") or 0
        lines += ["", f"## {title(card)} over training", "",
                  f"{rows[0]['protocol']} of {rows[0]['tap']}, trained from scratch on the weights "
                  "after each epoch (Gidaris et al., 2018, Figure 5a: the pretext task's accuracy "
                  "goes on rising when the objects' hardly does)."
                  + (f" The backbone begins with {begun}'s weights and the pictures that these "
                     "have seen, the head with new ones." if begun else ""), "",
                  "| epoch | pictures seen | pretext accuracy, held out | objects |",
                  "|---" * 4 + "|"]
        for row in rows:
            objects = spread({"mean": 100 * row["object"], "std": 100 * row["object_std"]})
            images = round(row["epoch"] * count) + seen.get(begun, 0)
            lines.append(f"| {row['epoch']} | {images:,} | "
                         f"{_percent(row['pretext'].get('accuracy'))} | {objects} |")
    return lines


def _outcomes(card):
    """What a card's weights reach with their best tap, and random ones there: one a protocol."""
    for group in results([card]):
        for row in group["rows"]:
            if row["weights"] == "this entry":
                random = next((r for r in group["rows"] if r["weights"] == "random" and all(
                    r[k] == row[k] for k in ("epochs", "image_size", "labels_a_class"))), None)
                tap, value = max(row["values"].items(), key=lambda item: item[1]["mean"])
                yield {"heading": heading(group), "epochs": row["epochs"], "tap": tap,
                       "trained": value, "random": random["values"].get(tap) if random else None}


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
                  spread(row["values"][tap]) for tap in taps]
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
