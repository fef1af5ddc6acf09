"""Writes all numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from oodbench.base.text import printable
from oodbench.results.rows import Row

FORMULA = tuple("=+-@＝＋－＠")
"""What begins a formula in a spreadsheet, in either width."""


def table(rows: Sequence[Row]) -> str:
    """Returns every number of every row, one line a detector and pair of sets."""
    names = sorted({name for row in rows for name in row.values})
    known = [field.name for field in fields(Row) if field.name != "values"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*known, *names])
    for row in rows:
        texts = [_cell(getattr(row, name)) for name in known]
        writer.writerow([*texts, *(row.values.get(name, "") for name in names)])
    return buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(value)
    return escape(value) if isinstance(value, str) else value


def escape(text: str) -> str:
    """Returns text that no spreadsheet runs: an apostrophe stands before a formula.

    >>> escape("=HYPERLINK(A1)")
    "'=HYPERLINK(A1)"
    """
    line = printable(text)
    return f"'{line}" if line.startswith(FORMULA) else line
