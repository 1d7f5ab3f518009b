"""Drawings in SVG, as text for an HTML page."""

import html
import math

COLORS = ("#1b6ca8", "#c4570f", "#3d8b37", "#8c4a9e", "#7a6a1f", "#c02942")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 520, 240, 48, 34


def lines(series, x_title, y_title):
    """A line chart.

    Args:
        series: name to a list of (x, y), finite.

    Returns:
        `<svg>`, as wide as its place.
    """
    series = {name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
              for name, points in series.items()}
    series = {name: points for name, points in series.items() if points}
    if not series:
        return ""
    every = [point for points in series.values() for point in points]
    right, top = _WIDTH - 22, 12
    x_ticks = ticks(min(0, *(x for x, _ in every), 0), max(x for x, _ in every))
    y_ticks = ticks(min(y for _, y in every), max(y for _, y in every))

    def place(x, y):
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return (f"{_LEFT + across * (right - _LEFT):.1f}",
                f"{_HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - top):.1f}")

    out = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20}" role="img" '
           f'aria-label="{_text(y_title)} by {_text(x_title)}">']
    for tick in y_ticks:
        _, y = place(x_ticks[0], tick)
        out.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}" class="grid"/>'
                   f'<text x="{_LEFT - 6}" y="{y}" dy="4" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        out.append(f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
                   f'{_short(tick)}</text>')
    for k, (name, points) in enumerate(series.items()):
        color = COLORS[k % len(COLORS)]
        path = " ".join(",".join(place(*point)) for point in points)
        if len(points) > 1:
            out.append(f'<polyline points="{path}" fill="none" stroke="{color}" '
                       'stroke-width="1.8"/>')
        if len(points) < 30:
            out += [f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>'
                    for x, y in (place(*point) for point in points)]
        left = _LEFT + k * 150
        out.append(f'<rect x="{left}" y="{_HEIGHT + 4}" width="12" height="12" fill="{color}"/>'
                   f'<text x="{left + 18}" y="{_HEIGHT + 14}">{_text(name)}</text>')
    out.append(f'<text x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{_text(x_title)}</text>'
               "</svg>")
    return "".join(out)


def matrix(counts, names):
    """A confusion matrix: rows are true, columns said; darker is a larger share of the row.

    Args:
        counts: a square list of lists.
        names: of the classes.
    """
    cell, left = 34, 8 + 7 * max(len(name[:12]) for name in names)
    top, side = left, cell * len(names)
    out = [f'<svg viewBox="0 0 {left + side + 8} {top + side + 8}" role="img" '
           f'style="max-width:{left + side + 8}px" aria-label="confusion matrix">']
    for r, (row, name) in enumerate(zip(counts, names, strict=True)):
        y = top + r * cell
        out.append(f'<text x="{left - 6}" y="{y + cell / 2}" dy="4" text-anchor="end">'
                   f'{_text(name[:12])}</text>'
                   f'<text transform="translate({left + r * cell + cell / 2 + 4},{top - 6}) '
                   f'rotate(-90)">{_text(name[:12])}</text>')
        for c, count in enumerate(row):
            share = count / max(1, sum(row))
            # white to dark blue; green is kept for titles that are right
            color = [round(255 - share * (255 - end)) for end in (20, 60, 120)]
            x = left + c * cell
            out.append(f'<rect x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
                       f'fill="rgb({color[0]},{color[1]},{color[2]})"/>')
            if count:
                ink = "#fff" if share > 0.45 else "#333"
                out.append(f'<text x="{x + cell / 2}" y="{y + cell / 2}" dy="4" '
                           f'text-anchor="middle" style="fill:{ink}">{count}</text>')
    return "".join(out) + "</svg>"


def ticks(low, high, about=5):
    """Round numbers that enclose `low` and `high`, at least two."""
    span = high - low if high > low else max(abs(high), 1.0)
    step = 10.0 ** math.floor(math.log10(span / about))
    step *= next(k for k in (1, 2, 5, 10) if span / (k * step) <= about)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _short(number):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def _text(text):
    return html.escape(str(text))
