"""Prints tables, the same way for every command and format."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.text import printable
from oodbench.output import formats

if TYPE_CHECKING:
    from oodbench.output.tables import Convention
    from oodbench.results.rows import Measured

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(formats.names()),
    help="[default: terminal on a terminal, else markdown]",
)


def print_tables(
    measured: Sequence[Measured],
    metrics: Iterable[str] = ("auroc",),
    convention: Convention = "id",
    intervals: bool | None = None,
    format_: str | None = None,
) -> None:
    """Prints the accuracies, and a table of each metric and in-set.

    What is left out goes to the error stream where the format has no place for notes.
    A model that classifies no better than chance gets a warning there.
    """
    from oodbench.output.tables import documents

    name = _chosen(format_)
    for part in documents(measured, metrics, name, convention, intervals):
        _print(part, name)
    if not formats.is_for_reading(formats.load(name)):
        print_notes(note for one in measured for note in one.group.notes)
    for one in measured:
        if one.fitness is not None and one.fitness.is_chance:
            click.echo(
                f"Warning: {printable(one.fitness.model)} classifies "
                f"{printable(one.fitness.inside)} little better than by chance. Wrong "
                "--mean/--std or another order of classes is the usual cause; do not "
                "use these results until this is fixed.",
                err=True,
            )


def print_listing(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    notes: Sequence[str] = (),
    format_: str | None = None,
) -> None:
    """Prints rows under a head, with a title above and notes below."""
    name = _chosen(format_)
    writer = formats.load(name)
    _print(writer.listing(head, rows, title, notes), name)
    if not formats.is_for_reading(writer):
        print_notes(notes)


def is_for_reading(format_: str | None) -> bool:
    """Returns whether a format shows text for a reader rather than all numbers."""
    return formats.is_for_reading(formats.load(_chosen(format_)))


def print_notes(notes: Iterable[str]) -> None:
    """Prints notes to the error stream."""
    for note in notes:
        click.echo(printable(note), err=True)


def print_written(pictures: Sequence[Path]) -> None:
    """Prints how many pictures were drawn, and where, to the error stream."""
    where = f" in {pictures[0].parent}" if pictures else ""
    click.echo(f"{len(pictures)} pictures drawn{where}.", err=True)


def _chosen(format_: str | None) -> str:
    return format_ or ("terminal" if sys.stdout.isatty() else "markdown")


def _print(part: Any, name: str) -> None:
    """Prints what a format made, with an empty line below if it is for reading."""
    below = formats.is_for_reading(formats.load(name))
    if isinstance(part, str):
        click.echo(part, nl=below)
        return
    from rich.console import Console

    console = Console(width=formats.width(), highlight=False)
    console.print(part, end="\n" * below, crop=False)
