"""Prints tables or writes them to a file, the same way for every command and format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base import log
from oodbench.base.files import json_bytes, write_atomically
from oodbench.base.text import printable
from oodbench.output import formats

if TYPE_CHECKING:
    from oodbench.output.tables import Look
    from oodbench.results.rows import Measured

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say how and where tables are shown, as `output`."""

    @click.option(
        "--format",
        "format_",
        type=click.Choice(formats.names(), case_sensitive=False),
        help="[default: by the ending of --to; terminal on a terminal, else markdown]",
    )
    @click.option(
        "--json", "format_", flag_value="json", help="The same as --format json."
    )
    @click.option(
        "--to",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File to write instead of printing: .md, .tex, .html, .csv, .json, .txt.",
    )
    @wraps(command)
    def wrapped(*, format_: str | None, file: Path | None, **others: Any) -> None:
        if format_ is None:
            format_ = formats.of_file(file) if file is not None else _usual()
        output = Output(format_, file)
        try:
            command(output=output, **others)
        except SystemExit:  # the verdict on what was shown
            output.close()
            raise
        output.close()

    return wrapped


@dataclass
class Output:
    """Where tables go: the standard output, or a file that is written at the end."""

    format: str = field(default_factory=lambda: _usual())
    file: Path | None = None
    _parts: list[str] = field(default_factory=list, init=False)

    @property
    def is_for_reading(self) -> bool:
        """Whether the format shows text for a reader rather than all numbers."""
        return formats.is_for_reading(formats.load(self.format))

    def tables(self, measured: Sequence[Measured], look: Look) -> None:
        """Shows the accuracies, and a table of each metric and in-distribution set.

        What is left out goes to the error stream where the format has no place for
        notes. A model that classifies no better than chance gets a warning there.
        """
        from oodbench.output.tables import documents

        for part in documents(measured, look, self.format):
            self._show(part)
        if not self.is_for_reading:
            print_notes(note for one in measured for note in one.group.notes)
        for one in measured:
            if one.fitness is not None and one.fitness.is_chance:
                click.echo(
                    f"Warning: {printable(one.fitness.model)} classifies "
                    f"{printable(one.fitness.set)} little better than by chance. "
                    "Wrong --mean/--std or another order of classes is the usual "
                    "cause; do not use these results until this is fixed.",
                    err=True,
                )

    def listing(
        self,
        title: str,
        head: Sequence[str],
        rows: Sequence[Sequence[Any]],
        notes: Sequence[str] = (),
    ) -> None:
        """Shows rows under a head, with a title above and notes below."""
        writer = formats.load(self.format)
        self._show(writer.listing(head, rows, title, notes))
        if not self.is_for_reading:
            print_notes(notes)

    def close(self) -> None:
        """Writes the file, if there is one."""
        if self.file is not None:
            write_atomically(self.file, "\n".join(self._parts).encode())
            remark(f"Written to {self.file}.")

    def _show(self, part: Any) -> None:
        """Shows what a format made, with an empty line below if it is for reading."""
        if self.file is not None:
            self._parts.append(formats.as_text(part))
        elif isinstance(part, str):
            click.echo(part, nl=self.is_for_reading)
        else:
            from rich.console import Console

            console = Console(width=formats.width(), highlight=False)
            console.print(part, end="\n", crop=False)


def print_notes(notes: Iterable[str]) -> None:
    """Prints notes to the error stream."""
    for note in notes:
        click.echo(printable(note), err=True)


def print_written(pictures: Sequence[Path]) -> None:
    """Prints how many pictures there are now, and where, to the error stream."""
    where = f" in {pictures[0].parent}" if pictures else ""
    remark(f"{len(pictures)} pictures{where}.")


def print_json(content: object) -> None:
    """Prints one JSON document."""
    click.echo(json_bytes(content).decode(), nl=False)


def remark(text: str) -> None:
    """Prints what was done to the error stream, unless the user wants quiet."""
    if not log.quiet:
        click.echo(text, err=True)


def _usual() -> str:
    return "terminal" if sys.stdout.isatty() else "markdown"
