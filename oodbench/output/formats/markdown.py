"""Writes tables as GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from oodbench.base.text import printable, short_name, short_note
from oodbench.output.layout import BETWEEN, Block, Cell, Column, Table


def table(table: Table) -> str:
    """Returns a table, the best in bold, its notes below."""
    head = ["model", table.stub, *map(_head, table.columns)]
    rows = [line for block in table.blocks for line in _rows(block)]
    return _document(table.title, _pipes(head, rows), table.notes)


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Returns rows under a head; the first two columns are text."""
    pipes = _pipes(head, [list(map(_escape_name, row)) for row in rows])
    return _document(title, pipes, notes)


def escape(text: str) -> str:
    r"""Returns text that Markdown shows as it is, on one line.

    >>> print(escape("1. <b> [x](y) snake_case _em_"))
    1\. \<b\> \[x\](y) snake_case \_em\_
    """
    # Inside a word an underscore means nothing, and most names have one.
    special = r"([\\`*\[\]<>|#$~&]|(?<!\w)_|_(?!\w))"
    line = re.sub(special, r"\\\1", printable(text))
    # What would begin a list, underline a heading or draw a rule.
    return re.sub(r"^(\d*)([-+=.)])(?=[-+=\s]|$)", r"\1\\\2", line)


def _document(title: str, pipes: str, notes: Sequence[str]) -> str:
    above = f"{_escape_note(title)}\n\n" if title else ""
    below = "".join(f"- {_escape_note(note)}\n" for note in notes)
    return f"{above}{pipes}\n" + (f"\n{below}" if below else "")


def _escape_name(text: str) -> str:
    return escape(short_name(text))


def _escape_note(text: str) -> str:
    return escape(short_note(text))


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # tabulate 0.9 fails on an alignment of columns without a row.
    align = ["left", "left", *["right"] * (len(head) - 2)] if rows else None
    return tabulate(rows, head, "pipe", disable_numparse=True, colalign=align)


def _head(column: Column) -> str:
    return f"{column.role}: {_escape_name(column.label)}{column.marks}"


def _numbers(cell: Cell) -> str:
    texts = (f"**{one.text}**" if one.best else one.text for one in cell)
    return BETWEEN.join(texts)


def _rows(block: Block) -> list[list[str]]:
    return [
        [
            _escape_name(block.model),
            _escape_name(block.title(label)),
            *map(_numbers, line),
        ]
        for label, line in (*block.detectors, *block.apart)
    ]
