"""The report as one HTML page: style, drawings and pictures inside it, nothing asked of a network.
"""

import base64
import html
import io

import numpy as np
from PIL import Image

from keras_pretext.evaluation.report import charts
from keras_pretext.evaluation.report.facts import about, heading, number, spread, title
from keras_pretext.evaluation.report.scoreboard import columns

# nothing but what is in the page may be loaded, and no script runs
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: #222; background: #fff;
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; margin: .5rem 0 1rem; } h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem;
  border-bottom: 1px solid #ccc; } h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
p { margin: .3rem 0; } .note { color: #666; font-size: .87rem; }
nav a { margin-right: 1rem; }
.wide { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 11rem; }
thead th { border-bottom: 2px solid #999; } tr.paper td { color: #666; background: #f7f7f5; }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .15rem .8rem; font-size: .92rem; }
dt { color: #666; } dd { margin: 0; min-width: 0; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; margin: .5rem 0 .9rem; }
figure { margin: 0; width: 6.2rem; } figure.large { width: 100%; max-width: 30rem; }
figure img { display: block; width: 100%; image-rendering: pixelated; }
figure.large img { image-rendering: auto; width: auto; max-width: 100%; }
figcaption { font-size: .75rem; line-height: 1.25; margin-top: .15rem; color: #444; }
.right { color: #00783c; font-weight: 600; } .wrong { color: #be1e1e; font-weight: 600; }
svg { display: block; width: 100%; max-width: 36rem; height: auto; margin: .5rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: #444; } svg .grid { stroke: #e4e4e4; }
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; } dt { margin-top: .4rem; } figure { width: 4.8rem; }
  th, td { padding: .25rem .4rem; } th:first-child, td:first-child { min-width: 7rem; }
}
"""


def page(facts, figures):
    """The page.

    Args:
        facts: what the report's JSON holds, see `write`.
        figures: for each model, its `looks(...)["figures"]`.

    Returns:
        HTML, str.
    """
    models = facts["models"]
    names = [title(card) for card in models]
    out = ['<nav><a href="#measured">Measured</a>',
           *(f'<a href="#model{k}">{_e(name)}</a>' for k, name in enumerate(names)), "</nav>"]
    out += _measured(facts["results"])
    for k, (card, shown) in enumerate(zip(models, figures, strict=True)):
        out += [f'<h2 id="model{k}">{_e(names[k])}</h2>', *_model(card), *_looks(card, shown)]
    return document("Report: " + ", ".join(names), out)


def document(head, lines):
    """A whole page of HTML.

    Args:
        head: its title, text.
        lines: what comes below, HTML.
    """
    return "\n".join([
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<link rel="icon" href="data:,"><title>{_e(head)}</title>',
        f"<style>{_STYLE}</style></head><body>", f"<h1>{_e(head)}</h1>", *lines,
        "</body></html>"]) + "\n"


def _e(text):
    return html.escape(str(text))


def _measured(groups):
    out = ['<h2 id="measured">Measured</h2>']
    if not groups:
        return [*out, "<p>No probe of the features was recorded; <code>keras-pretext probe MODEL "
                      "--json FILE</code> and <code>--metrics FILE</code> add one.</p>"]
    out += ["<p>Accuracy, unless said, in % of the last epoch: mean and standard deviation over "
            "the classifier's seeds. A table holds one protocol on one data set; numbers of two "
            "tables are not comparable. Rows of the papers are grey.</p>"]
    for group in groups:
        taps = columns(group)
        out += [f"<h3>{_e(heading(group))}</h3>", '<div class="wide">',
                "<table><thead><tr><th>model, weights</th>",
                *(f"<th>{_e(tap)}</th>" for tap in taps),
                "<th>epochs</th><th>seeds</th></tr></thead><tbody>"]
        for row in group["rows"]:
            few = row["labels_a_class"]
            who = f"{row['model']}, {row['weights']}" + (f", {few} labels a class" if few else "")
            cells = [spread(row["values"][tap]) if tap in row["values"] else "" for tap in taps]
            out.append(table_row([who, *cells, row["epochs"] or "", row["seeds"] or ""]))
        for row in group["paper"]:
            cells = [number(row["values"][tap]) if tap in row["values"] else "" for tap in taps]
            out.append(table_row([f"{row['method']}, {row['table']}", *cells, "", ""], "paper"))
        out.append("</tbody></table></div>")
        if group["note"]:
            out.append(f'<p class="note">{_e(group["note"])}.</p>')
        for row in group["elsewhere"]:
            values = ", ".join(f"{column} {number(v)}" for column, v in row["values"].items())
            out.append(f'<p class="note">Not comparable, {_e(row["data"])}: {_e(row["method"])}, '
                       f'{row["table"]}, {_e(row["unit"])}: {_e(values)}.</p>')
        out += [f'<p class="note">{_e(note)}</p>' for note in group["notes"]]
    return out


def table_row(cells, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f"<tr{kind}>" + "".join(f"<td>{_e(cell)}</td>" for cell in cells) + "</tr>"


def _model(card):
    out = ["<dl>"]
    for what, value in about(card):
        out.append(f"<dt>{_e(what)}</dt><dd>{_e(value)}</dd>")
    out.append("</dl>")
    pretext = card.get("pretext") or {}
    if pretext:
        out += ["<h3>Pretext task, on held-out pictures</h3>", "<dl>"]
        out += [f"<dt>{_e(k.removeprefix('test_').replace('_', ' '))}</dt><dd>"
                f"{f'{v:.4g}' if isinstance(v, float) else _e(v)}</dd>"
                for k, v in sorted(pretext.items())]
        out.append("</dl>")
    out.append("<h3>Training</h3>")
    if not card.get("curves"):
        return [*out, '<p class="note">No curves: they are kept in the folder of a run, not in a '
                      "published entry.</p>"]
    for metric in dict.fromkeys(name.removeprefix("test_") for name in card["curves"]):
        series = {label: card["curves"][name] for name, label in (
            (metric, f"{metric}, training"), (f"test_{metric}", f"{metric}, held out"))
            if name in card["curves"]}
        if max(map(len, series.values())) > 1:
            out.append(charts.lines(series, "pictures seen", metric))
    return out


def _looks(card, figures):
    out = []
    for name, text, rows, marks in figures:
        out += [f"<h3>{_e(name)}</h3>", f"<p>{_e(text)}</p>"]
        out += drawn(name, rows, marks)
        if name == "Attention maps" and card.get("equivariance"):
            out += ["<p>How far the maps turn with the picture (correlation; 1 is perfect), and "
                    "what it is when they are not turned back:</p>", '<div class="wide">',
                    "<table><thead><tr><th>tap</th><th>p</th><th>turned back</th>"
                    "<th>as they are</th></tr></thead><tbody>",
                    *(table_row([tap, f"{v['power']:g}", f"{v['turned_back']:.3f}",
                            f"{v['as_they_are']:.3f}"])
                      for tap, v in card["equivariance"].items()), "</tbody></table></div>"]
    for field, name, text in (
            ("pretext_confusion", "Pretext answers", "Rows are true, columns said."),
            ("knn_confusion", "Labels by the nearest pictures",
             "Every picture's label by a vote of the 20 nearest others, by cosine; rows are true, "
             "columns said. For looking: it is none of the protocols.")):
        found = card.get(field)
        if found:
            out += [f"<h3>{name}</h3>", f"<p>{text} {found['accuracy']:.1%} right, of "
                    f"{found['pictures']} pictures.</p>",
                    charts.matrix(found["matrix"], found["classes"])]
    out += [f'<p class="note">Left out: {_e(why)}</p>' for why in card.get("left_out") or ()]
    return out


def figure(uri, caption, alt, mark="", large=False):
    """A picture with what is written below it, HTML."""
    return (f'<figure{" class=large" if large else ""}><img src="{uri}" alt="{_e(alt)}">'
            f'<figcaption class="{mark}">{_e(caption)}</figcaption></figure>')


def drawn(name, rows, marks=None):
    """Rows of (title, uint8 picture) as lines of HTML; `marks` as for `puzzle_sheet`."""
    out = []
    for r, row in enumerate(rows):
        out.append('<div class="row">')
        for c, (caption, picture) in enumerate(row):
            mark = {True: "right", False: "wrong", None: ""}[marks[r][c] if marks else None]
            large = len(row) == 1 and len(rows) == 1
            out.append(figure(data_uri(picture, large), caption, caption or name, mark, large))
        out.append("</div>")
    return out


def data_uri(picture, large=False):
    """A uint8 `(H, W, 3)` picture as a data URI; small ones lossless, `large` ones enlarged."""
    picture = Image.fromarray(np.ascontiguousarray(picture))
    if large and picture.width < 480:
        times = max(1, 480 // picture.width)
        picture = picture.resize((picture.width * times, picture.height * times),
                                 Image.Resampling.NEAREST)
    out, lossless = io.BytesIO(), large or picture.width <= 64
    picture.save(out, "PNG" if lossless else "JPEG", **({"optimize": True} if lossless
                                                        else {"quality": 85}))
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
