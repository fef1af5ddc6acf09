"""Writes tables for a rich console; a table that is too wide is split into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from oodbench.base.text import short_name, short_note
from oodbench.output.blocks import blocks, broken, head_lines
from oodbench.output.layout import BETWEEN, Cell, Column, Table

NAMES = 0.6
"""Share of the width that the names of rows may take."""
SPACE = 2
"""Between columns."""


def table(table: Table) -> RenderableType:
    """Returns a table, the best in bold, rows apart dimmed, its notes below."""
    heads = [Text(f"\n{table.stub}"), *map(_head, table.columns)]
    grid = _Grid(heads, is_whole=table.wide)
    for block in table.blocks:
        grid.sections.append(len(grid.rows))
        grid.rows.append([Text(short_name(block.model), "bold cyan")])
        for label, line in block.detectors:
            grid.rows.append([Text(f"  {short_name(label)}"), *map(_styled, line)])
        for label, line in block.apart:
            name = Text(f"  {short_name(block.title(label))}", "dim")
            grid.rows.append([name, *(_styled(cell, "dim") for cell in line)])
    return _document(table.title, grid, table.notes)


def listing(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    notes: Sequence[str] = (),
) -> RenderableType:
    """Returns rows under a head; the first two columns are text."""
    heads = [Text("\n".join(broken(name, " ")), "bold") for name in head]
    texts = [[Text(short_name(text)) for text in row] for row in rows]
    return _document(title, _Grid(heads, texts, names=2), notes)


@dataclass
class _Grid:
    """Cells that fit any width without shortening a number.

    Where the width is too small, the columns are split into blocks below each other.
    Each begins with the names, of which long ones lose their beginning; they stand in
    full below.
    """

    heads: list[Text]
    rows: list[list[Text]] = field(default_factory=list)
    names: int = 1
    """How many columns begin every block."""
    sections: list[int] = field(default_factory=list)
    """Rows with an empty line above."""
    is_whole: bool = False
    """Whether all columns stand beside each other, however wide they are."""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Yields the blocks, and below them the names that were cut."""
        widths, room = self._widths(), options.max_width
        if self.is_whole:
            room = max(room, sum(widths) + SPACE * len(widths))
        widest = max(widths[self.names :], default=0)
        for_names = min(int(NAMES * room), room - SPACE - widest)
        cut = _Cut(_fitting(widths[: self.names], for_names))
        fitted = replace(self, rows=[self._with_names(row, cut) for row in self.rows])
        widths = fitted._widths()
        for shown in blocks(widths, self.names, room, SPACE):
            # A single number may be wider than a very narrow console.
            width = max(room, sum(widths[index] + SPACE for index in shown))
            yield from console.render(
                fitted._columns(shown), options.update(width=width)
            )
            yield Text()
        yield from (Text(f"  {line}", "dim") for line in cut.legend)

    def _with_names(self, row: Sequence[Text], cut: _Cut) -> list[Text]:
        names = row[: self.names]
        return [*map(cut.shortened, names, cut.widths), *row[self.names :]]

    def _widths(self) -> list[int]:
        return [
            max(
                cell_len(line)
                for cell in self._column(index)
                for line in cell.plain.split("\n")
            )
            for index in range(len(self.heads))
        ]

    def _column(self, index: int) -> list[Text]:
        return [row[index] for row in (self.heads, *self.rows) if index < len(row)]

    def _columns(self, shown: Sequence[int]) -> RichTable:
        rich = RichTable(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
            header_style="",
        )
        for index in shown:
            rich.add_column(
                self.heads[index],
                justify="left" if index < self.names else "right",
                no_wrap=True,
            )
        for number, row in enumerate(self.rows):
            if number in self.sections:
                rich.add_section()
            rich.add_row(*(row[index] for index in shown if index < len(row)))
        return rich


@dataclass
class _Cut:
    """Cuts names at their beginning, and numbers those that it has cut."""

    widths: Sequence[int]
    """Of each column of names."""
    numbers: dict[str, int] = field(default_factory=dict)

    def shortened(self, name: Text, width: int) -> Text:
        text = name.plain.strip()
        if cell_len(name.plain) <= width:
            return name
        mark = f"[{self.numbers.setdefault(text, len(self.numbers) + 1)}]…"
        while len(text) > 1 and cell_len(mark + text) > width:
            text = text[1:]
        return Text(mark + text, name.style)

    @property
    def legend(self) -> list[str]:
        return [f"[{number}]… is {text}" for text, number in self.numbers.items()]


def _fitting(widths: Sequence[int], room: int) -> list[int]:
    """Returns widths of which the largest are cut so that all fit into the room."""
    most = max(widths)
    while most > 1 and sum(min(width, most) for width in widths) > room:
        most -= 1
    return [min(width, most) for width in widths]


def _document(title: str, grid: _Grid, notes: Sequence[str]) -> RenderableType:
    above = [Text(short_note(title)), Text()] if title else []
    below = [Text(f"  {short_note(note)}", "dim") for note in notes]
    return Group(*above, grid, *below)


def _head(column: Column) -> Text:
    name = "\n".join(head_lines(column))
    return Text(f"{column.role}\n", "dim").append(name, "bold")


def _styled(cell: Cell, style: str = "") -> Text:
    return Text(BETWEEN).join(
        Text(one.text, "bold green" if one.best else style) for one in cell
    )
