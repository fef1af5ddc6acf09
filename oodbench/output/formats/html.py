"""Writes tables as HTML without styles, every cell linked to its heads."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence

from oodbench.base.text import printable, short_name, short_note
from oodbench.output.layout import BETWEEN, Block, Cell, Column, Field, Table, spans

Link = Callable[[str, str, Column], str]
"""Where the numbers of a model, a detector and a column lead; empty for nowhere."""


def _nowhere(model: str, detector: str, column: Column) -> str:
    return ""


def table(table: Table, link: Link = _nowhere) -> str:
    """Returns a table, the best in bold, rows apart at the end, its notes below."""
    groups = spans(table.columns)
    bands = "".join(f'<colgroup span="{len(group.labels)}">' for group in groups)
    over = "".join(
        f'<th scope="colgroup" colspan="{len(group.labels)}">{escape(group.name)}</th>'
        for group in groups
    )
    labels = [table.stub, *(label for group in groups for label in group.labels)]
    bodies = "".join(_block(block, table.columns, link) for block in table.blocks)
    return (
        f"<table>\n<caption>{_note(table.title)}</caption>\n<colgroup>{bands}\n"
        f"<thead>\n<tr><td></td>{over}</tr>\n{_heads(labels)}</thead>\n"
        f"{bodies}</table>\n{_notes(table.notes)}"
    )


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Returns rows under a head; the first column names the row."""
    lines = "".join(_row(row[0], map(_name, row[1:])) for row in rows)
    caption = f"<caption>{_note(title)}</caption>\n" if title else ""
    return (
        f"<table>\n{caption}<thead>\n{_heads(head)}</thead>\n"
        f"<tbody>\n{lines}</tbody>\n</table>\n{_notes(notes)}"
    )


def escape(text: str) -> str:
    """Returns text that HTML shows as it is, in ASCII, for element or attribute.

    >>> escape('<a href="x">†')
    '&lt;a href=&quot;x&quot;&gt;&#8224;'
    """
    safe = html.escape(printable(text))
    return safe.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _heads(names: Sequence[str]) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return f"<tr>{cells}</tr>\n"


def _block(block: Block, columns: Sequence[Column], link: Link) -> str:
    def numbers(label: str, line: Iterable[Cell]) -> list[str]:
        return [
            _numbers(cell, link(block.model, label, column))
            for cell, column in zip(line, columns, strict=True)
        ]

    span = 1 + len(columns)
    title = f'<th scope="rowgroup" colspan="{span}">{_name(block.model)}</th>'
    lines = [_row(label, numbers(label, line)) for label, line in block.detectors]
    lines += [
        _row(block.title(label), numbers(label, line), ' class="apart"')
        for label, line in block.apart
    ]
    return f"<tbody>\n<tr>{title}</tr>\n{''.join(lines)}</tbody>\n"


def _row(label: str, cells: Iterable[str], attributes: str = "") -> str:
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr{attributes}><th scope="row">{_name(label)}</th>{numbers}</tr>\n'


def _numbers(cell: Cell, href: str) -> str:
    return BETWEEN.join(_number(one, href) for one in cell)


def _number(one: Field, href: str) -> str:
    number, bracket, interval = escape(one.text).partition(" [")
    number = f"<strong>{number}</strong>" if one.best else number
    number = f'<a href="{escape(href)}">{number}</a>' if href else number
    return number + (f" <small>[{interval}</small>" if bracket else "")


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{_note(note)}</li>\n" for note in notes)
    return f"<ul>\n{items}</ul>\n" if items else ""


def _note(text: str) -> str:
    return escape(short_note(text))


def _name(text: str) -> str:
    return escape(short_name(text))
