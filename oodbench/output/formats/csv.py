"""Writes all numbers as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from oodbench.base.text import printable

FORMULA = tuple("=+-@＝＋－＠")
"""What begins a formula in a spreadsheet, in either width."""


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Returns rows under a head, numbers in full; None and NaN leave a cell empty.

    There is no place for a title and notes.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_cell, head))
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return escape(value) if isinstance(value, str) else value


def escape(text: str) -> str:
    """Returns text that no spreadsheet runs: an apostrophe stands before a formula.

    >>> escape("=HYPERLINK(A1)")
    "'=HYPERLINK(A1)"
    """
    line = printable(text)
    return f"'{line}" if line.startswith(FORMULA) else line
