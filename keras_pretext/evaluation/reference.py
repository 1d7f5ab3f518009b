"""The papers' tables, as data: what our numbers are put beside.

`reference_tables.json` holds 22 tables, R1 to R22. A table has a `title`, a `source`, `columns`,
`rows` and `notes` (where sources disagree, or say something else than they measure):

- a column has a `name`, a `unit` ("text" for what is no number), `better` ("higher" or "lower"),
  the name of the `protocol` that measures it, the `data` it is measured on by its TFDS name where
  it has one, and the `tap`, the trained layers or the `class` of ours that it corresponds to, if
  any;
- a row has the `method` (as printed, but for "Ours"), what of `ours` would stand beside it (a
  task's name, "random" or "rescaled random"; None for what is not built here), `values` (a number,
  a text or None a column), and where they differ from the table's a `protocol`, `spread` (standard
  deviations by column) and a `note`.
"""

import dataclasses
import functools
import json
import pathlib

from keras_pretext.registry import unknown_name

PATH = pathlib.Path(__file__).with_name("reference_tables.json")


@dataclasses.dataclass(frozen=True)
class Row:
    """The part of a table's row that one protocol measured on one data set.

    Attributes:
        table: "R1" to "R22".
        title, source: of the table.
        method: as the table calls it.
        ours: what of this package would stand beside it, or None.
        protocol, data, unit: how, on what and in what it was measured.
        values: column name to number; a column without one is left out.
        taps: column name to the tap or class of ours that it corresponds to; others are left out.
        of_classes: whether the columns are classes of the data.
        spread: column name to standard deviation, where the table has it.
        note: of the row, or None.
        notes: of the table.
    """

    table: str
    title: str
    source: str
    method: str
    ours: str | None
    protocol: str | None
    data: str
    unit: str
    values: dict
    taps: dict
    of_classes: bool
    spread: dict
    note: str | None
    notes: tuple


@functools.cache
def _read():
    return json.loads(PATH.read_text(encoding="utf-8"))


def tables():
    """All tables as plain dicts, "R1" to "R22", as the module's text describes them."""
    return json.loads(json.dumps(_read()))


def table(name):
    """One table, a plain dict.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in _read():
        raise ValueError(unknown_name("reference table", name, _read()))
    return tables()[name]


@functools.cache
def rows():
    """Every number of every table as a tuple of `Row`s, in the tables' order."""
    out = []
    for name, one in _read().items():
        for row in one["rows"]:
            parts = {}
            for column, value in zip(one["columns"], row["values"], strict=True):
                if column["unit"] == "text" or value is None:
                    continue
                protocol = row.get("protocol", column["protocol"])
                part = parts.setdefault((protocol, column["data"], column["unit"]), {})
                part[column["name"]] = (value, column.get("tap") or column.get("class"))
            for (protocol, data, unit), values in parts.items():
                out.append(Row(
                    name, one["title"], one["source"], row["method"], row["ours"], protocol, data,
                    unit, {c: v for c, (v, _) in values.items()},
                    {c: tap for c, (_, tap) in values.items() if tap},
                    any("class" in c for c in one["columns"]),
                    {c: s for c, s in row.get("spread", {}).items() if c in values},
                    row.get("note"), tuple(one["notes"])))
    return tuple(out)


def beside(protocol, ours=None):
    """The rows that a protocol of this name measured, of all methods or of one of `ours`."""
    return [row for row in rows()
            if row.protocol == protocol and (ours is None or row.ours == ours)]
