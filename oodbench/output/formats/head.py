"""The upper line of a table's head: the roles over the sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from oodbench.base.text import short_name
from oodbench.output.tables import Column


class Span(NamedTuple):
    """Neighbouring columns under one word."""

    name: str
    labels: list[str]


def spans(columns: Sequence[Column]) -> list[Span]:
    """Puts sets under their role, and means, named by role, under "mean"."""
    return [
        Span(name, [_label(column) for column in members])
        for name, members in groupby(columns, key=_over)
    ]


def _over(column: Column) -> str:
    return column.role if column.outside is not None else column.label


def _label(column: Column) -> str:
    if column.outside is None:
        return column.role
    return short_name(column.label) + column.marks
