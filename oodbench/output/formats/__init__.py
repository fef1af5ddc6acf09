"""Formats of tables, one per file; a new file here is a new format.

A format has `listing(head, rows, title="", notes=())`, rows under a head. A format for
reading has `table(Table)` too and gets numbers as text; a format without it gets all
numbers as they are.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown

if TYPE_CHECKING:
    from oodbench.output.layout import Table

WIDE = 200
"""Columns of text where there is no terminal and `COLUMNS` states no number."""


ENDINGS = {"md": "markdown", "tex": "latex", "txt": "terminal"}
"""Formats by the ending of a file, where it is not the format's name."""


class Format(Protocol):
    """A module of this folder."""

    def listing(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[Any]],
        title: str = "",
        notes: Sequence[str] = (),
    ) -> Any:
        """Returns rows under a head: text, or what a rich console prints."""


class ReadingFormat(Format, Protocol):
    """A module of this folder that lays tables out for a reader."""

    def table(self, table: Table) -> Any:
        """Returns a table with its title and notes, as `listing` does."""


def names() -> list[str]:
    """Returns the names of all formats, sorted, without importing any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Format:
    """Returns the module of a format.

    Raises:
        InputError: There is no such format.
    """
    if name not in names():
        raise InputError(unknown("format", name, names()))
    return cast(Format, import_module(f"{__name__}.{name}"))


def of_file(file: Path) -> str:
    """Returns the name of the format that a file's ending means.

    Raises:
        InputError: The ending means no format.
    """
    ending = file.suffix.removeprefix(".").lower()
    name = ENDINGS.get(ending, ending)
    if name not in names():
        raise InputError(
            f"The ending of {file} means no format; add --format, or use one of: "
            f"{', '.join([*ENDINGS, *sorted({*names()} - {*ENDINGS.values()})])}."
        )
    return name


def is_for_reading(writer: Format) -> TypeGuard[ReadingFormat]:
    """Returns whether a format shows laid-out tables rather than all numbers."""
    return hasattr(writer, "table")


def as_text(made: Any) -> str:
    """Returns the text of what a format made."""
    if isinstance(made, str):
        return made
    from rich.console import Console

    console = Console(width=width(), color_system=None)
    with console.capture() as captured:
        console.print(made, crop=False)
    return captured.get()


def width() -> int | None:
    """Returns the columns of text for a rich console; None for what it finds itself."""
    found = sys.stdout is not None and sys.stdout.isatty()
    return None if found or "COLUMNS" in os.environ else WIDE
