"""The card of an entry: what it is, where it comes from, what was measured."""

FIELDS = ("name", "version", "task", "backbone", "taps", "image_size", "data", "recipe", "command",
          "versions", "seed", "images_seen", "wall_seconds", "hardware", "pretext", "metrics",
          "paper", "licence", "limits", "golden_tolerance")


def render(card):
    """A card as Markdown."""
    lines = [f"# {card['name']}, version {card['version']}", ""]
    task, backbone = card["task"], card["backbone"]
    lines += [f"Task `{task['name']}` `{task['config']}`", "",
              f"Backbone `{backbone['name']}` `{backbone['config']}`", ""]
    data = card.get("data") or {}
    for title, value in (
            ("Data", f"{data.get('name')}/{data.get('split')}, {data.get('num_examples')} images, "
                     f"fingerprint `{str(data.get('fingerprint'))[:16]}`"),
            ("Command", f"`{card.get('command')}`"), ("Images seen", card.get("images_seen")),
            ("Wall time", f"{(card.get('wall_seconds') or 0) / 60:.0f} minutes"),
            ("Hardware", card.get("hardware")), ("Versions", card.get("versions")),
            ("Licence", card.get("licence")), ("Known limits", card.get("limits"))):
        lines.append(f"- **{title}**: {value}")
    pretext = card.get("pretext") or {}
    if pretext:
        lines += ["", "## Pretext task", ""]
        lines += [f"- {k}: {v:.4f}" if isinstance(v, float) else f"- {k}: {v}"
                  for k, v in sorted(pretext.items())]
    if card.get("metrics"):
        lines += ["", "## Probes", "", "Accuracy in %, last epoch (best epoch), mean and standard "
                  "deviation over the probe's seeds.", ""]
        lines += probe_table(card["metrics"], card.get("paper") or {})
    return "\n".join(lines) + "\n"


def probe_table(metrics, paper):
    """Markdown rows: a line for each (protocol, weights), a column for each tap.

    `paper` maps a protocol to `{"source": ..., "taps": {tap: accuracy in %}}`.
    """
    taps = list(dict.fromkeys(tap for m in metrics for tap in m["taps"]))
    rows = ["| protocol | weights | epochs | " + " | ".join(taps) + " |",
            "|---" * (3 + len(taps)) + "|"]
    for protocol in dict.fromkeys(m["protocol"] for m in metrics):
        for m in (m for m in metrics if m["protocol"] == protocol):
            cells = []
            for tap in taps:
                v = m["taps"].get(tap)
                cells.append("" if v is None else f"{100 * v['last_mean']:.2f} ± "
                             f"{100 * v['last_std']:.2f} ({100 * v['best_mean']:.2f})")
            rows.append(f"| {protocol} | {m['settings'].get('weights_from', 'this entry')} | "
                        f"{m['settings'].get('epochs', '')} | " + " | ".join(cells) + " |")
        if protocol in paper:
            cells = [str(paper[protocol]["taps"].get(tap, "")) for tap in taps]
            rows.append(f"| {protocol} | {paper[protocol]['source']} | | " + " | ".join(cells)
                        + " |")
    return rows
