"""Fits tables into a width: blocks of columns, and heads of several lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from oodbench.base.text import short_name
from oodbench.output.layout import Column

HEAD = 16
"""Letters of a line of a head."""


def blocks(
    widths: Sequence[float], names: int, room: float, space: float
) -> Iterator[list[int]]:
    """Yields the columns of each block: those of names, and as many others as fit.

    Args:
        widths: Of all columns, those of names first.
        names: Number of columns that every block begins with.
        room: Width of a block.
        space: Between two columns.

    >>> list(blocks([3, 2, 2, 2], names=1, room=9, space=1))
    [[0, 1, 2], [0, 3]]
    """
    first = list(range(names))
    narrowest = sum(widths[:names]) + space * (names - 1)
    shown, width = list(first), narrowest
    for index in range(names, len(widths)):
        if len(shown) > names and width + space + widths[index] > room:
            yield shown
            shown, width = list(first), narrowest
        shown.append(index)
        width += space + widths[index]
    yield shown


def head_lines(column: Column) -> list[str]:
    """Returns the lines of a column's head, without its role, with its marks."""
    sign = ":" if column.outside else "\n"
    return broken(short_name(column.label) + column.marks, sign)


def broken(text: str, sign: str) -> list[str]:
    """Returns the lines of a head, broken behind the first sign and where too long.

    A line that is too long is broken between words, a word only if it is too long.

    >>> broken("adaptive ECE %", " "), broken("mean near (full spectrum)", " ")
    (['adaptive', 'ECE %'], ['mean', 'near (full', 'spectrum)'])
    """
    first, found, rest = text.partition(sign)
    return [
        line
        for part in (first + found.strip(), rest)
        for line in textwrap.wrap(part, HEAD, break_on_hyphens=False)
    ]
