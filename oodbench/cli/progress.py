"""Shows how far a command is, on the error stream."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType

import click

from oodbench.base.progress import Tell
from oodbench.base.text import short_name

QUIET_SECONDS = 20.0
"""Between two lines where there is no terminal to draw bars on."""


class Progress:
    """Bars on a terminal, now and then a line elsewhere.

    `watch(stage, total)` begins a stage and returns what counts its steps.
    """

    def __init__(self) -> None:
        self._drawn = sys.stderr.isatty()
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        if self._drawn:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as RichProgress

            self._bars = RichProgress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._stack.enter_context(self._bars)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def watch(self, stage: str, total: int) -> Tell:
        """Begins a stage of so many steps; the result is told of the steps done."""
        name = short_name(stage)
        return self._bar(name, total) if self._drawn else _lines(name, total)

    def _bar(self, stage: str, total: int) -> Tell:
        task = self._bars.add_task(stage, total=total, note="")

        def tell(steps: int, note: str = "", /) -> None:
            self._bars.update(task, advance=steps, note=note)
            if self._bars.tasks[task].finished:
                self._bars.update(task, visible=False)

        return tell


def _lines(stage: str, total: int) -> Tell:
    done, last = 0, time.monotonic()

    def tell(steps: int, note: str = "", /) -> None:
        nonlocal done, last
        done += steps
        if time.monotonic() - last > QUIET_SECONDS:
            last = time.monotonic()
            said = f", {note}" if note else ""
            click.echo(f"{stage}: {done} of {total}{said}", err=True)

    return tell
