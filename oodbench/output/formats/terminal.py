"""Writes tables for a rich console."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from oodbench.base.text import short_name, short_note
from oodbench.output.layout import Column, Field, Table


def table(table: Table) -> RenderableType:
    """Returns a table, the best in bold, controls dimmed, its notes below."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    rich.add_column("\ndetector", no_wrap=True)
    for column in table.columns:
        rich.add_column(_head(column), justify="right")
    for block in table.blocks:
        rich.add_section()
        rich.add_row(Text(short_name(block.model), "bold cyan"))
        for label, line in block.detectors:
            rich.add_row(Text(f"  {short_name(label)}"), *map(_styled, line))
        for label, line in block.controls:
            dimmed = [Text(one.text, "dim") for one in line]
            rich.add_row(Text(f"  {short_name(label)} (control)", "dim"), *dimmed)
    return _document(table.title, rich, table.notes)


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    notes: Sequence[str] = (),
) -> RenderableType:
    """Returns rows under a head; the first two columns are text."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, name in enumerate(head):
        rich.add_column(Text(name), justify="left" if index < 2 else "right")
    for row in rows:
        rich.add_row(*(Text(short_name(text)) for text in row))
    return _document(title, rich, notes)


def _document(title: str, rich: RichTable, notes: Sequence[str]) -> RenderableType:
    above = [Text(short_note(title))] if title else []
    below = [Text(f"  {short_note(note)}", "dim") for note in notes]
    return Group(*above, rich, *below)


def _head(column: Column) -> Text:
    name = short_name(column.label)
    if column.outside is not None:
        name = name.replace(":", ":\n", 1)
    return Text(f"{column.role}\n", "dim").append(f"{name}{column.marks}", "bold")


def _styled(one: Field) -> Text:
    return Text(one.text, "bold green" if one.best else "")
