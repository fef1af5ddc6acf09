"""Writes tables as text: for the terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import fields

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text
from tabulate import tabulate

from oodbench.measures import Row
from oodbench.tables import Block, Column, Field, Table


def terminal(table: Table) -> RenderableType:
    """Returns a table for a rich console: best in bold, controls dimmed."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    rich.add_column("\ndetector", no_wrap=True)
    for column in table.columns:
        name = column.label.replace(":", ":\n", 1) if column.outside else column.label
        head = Text(f"{column.role}\n", "dim").append(f"{name}{column.marks}", "bold")
        rich.add_column(head, justify="right")
    for block in table.blocks:
        rich.add_section()
        rich.add_row(Text(block.model, "bold cyan"))
        for label, line in block.detectors:
            rich.add_row(Text(f"  {label}"), *map(_styled, line))
        for label, line in block.controls:
            dimmed = [Text(one.text, "dim") for one in line]
            rich.add_row(Text(f"  {label} (control)", "dim"), *dimmed)
    notes = [Text(f"  {note}", "dim") for note in table.notes]
    return Group(Text(table.title), rich, *notes)


def plain(head: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Returns a small table for a rich console; the first column is text."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, name in enumerate(head):
        rich.add_column(Text(name), justify="left" if index < 2 else "right")
    for row in rows:
        rich.add_row(*map(Text, row))
    return rich


def markdown(table: Table) -> str:
    """Returns a table as GitHub's Markdown, its notes below."""
    head = ["model", "detector", *map(_markdown_head, table.columns)]
    rows = [line for block in table.blocks for line in _markdown_rows(block)]
    notes = "\n".join(f"- {escape_markdown(note)}" for note in table.notes)
    return f"{escape_markdown(table.title)}\n\n{markdown_rows(head, rows)}\n\n{notes}\n"


def markdown_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of ready Markdown as a table; all but two columns to the right."""
    align = ["left", "left", *["right"] * (len(head) - 2)]
    return tabulate(rows, head, "pipe", disable_numparse=True, colalign=align)


def escape_markdown(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line."""
    # Inside a word an underscore means nothing, and most names have one.
    special = r"([\\`*\[\]<>|#$~]|(?<!\w)_|_(?!\w))"
    return re.sub(special, r"\\\1", " ".join(text.split()))


def as_csv(rows: Sequence[Row]) -> str:
    """Returns all numbers of all rows as CSV, one line a detector and pair of sets."""
    names = sorted({name for row in rows for name in row.values})
    plain_fields = [f.name for f in fields(Row) if f.name != "values"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*plain_fields, *names])
    for row in rows:
        known = [getattr(row, name) for name in plain_fields]
        texts = [" ".join(one) if isinstance(one, tuple) else one for one in known]
        writer.writerow([*texts, *(row.values.get(name, "") for name in names)])
    return buffer.getvalue()


def _styled(one: Field) -> Text:
    return Text(one.text, "bold green" if one.best else "")


def _markdown_head(column: Column) -> str:
    return f"{column.role}: {escape_markdown(column.label)}{column.marks}"


def _markdown_rows(block: Block) -> list[list[str]]:
    lines = [(label, line) for label, line in block.detectors]
    lines += [(f"{label} (control)", line) for label, line in block.controls]
    return [
        [
            escape_markdown(block.model),
            escape_markdown(label),
            *(f"**{one.text}**" if one.best else one.text for one in line),
        ]
        for label, line in lines
    ]
