"""How long work reports its progress, and how the progress is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol

from oodbench.base import log
from oodbench.base.text import short_name

SECONDS_BETWEEN_LINES = 20.0
"""Where there is no terminal to draw bars on."""


class Tell(Protocol):
    """Receives the number of steps done since the last call."""

    def __call__(self, steps: int, note: str = "", /) -> None:
        """Counts the steps; the note is a word on the state of the work."""


Watch = Callable[[str, int], Tell]
"""Begins a stage, given its name and its number of steps; returns its counter."""


def silent(steps: int, note: str = "", /) -> None:
    """Shows nothing."""


def both(one: Tell, other: Tell) -> Tell:
    """Returns what counts for two stages at once; notes are of the first."""

    def tell(steps: int, note: str = "", /) -> None:
        one(steps, note)
        other(steps)

    return tell


def unwatched(stage: str, steps: int) -> Tell:
    """Begins a stage that is not shown."""
    return silent


class Progress:
    """Shows stages of work on stderr: bars in a terminal or notebook, else some lines.

    A notebook needs the package ipywidgets for bars.

    It is a `Watch` within its `with` block:

        with Progress() as progress:
            tell = progress("score digits", 363)
            tell(32)
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet or log.quiet
        self._draws = not self._quiet and (_is_terminal() or _is_notebook())
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        if self._draws:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as Bars
            from rich.table import Column

            # Words are broken into lines, so that numbers are shown in full.
            words, numbers = Column(overflow="fold"), Column(no_wrap=True)
            self._bars = Bars(
                TextColumn("{task.description}", markup=False, table_column=words),
                BarColumn(bar_width=20),
                MofNCompleteColumn(table_column=numbers),
                TimeRemainingColumn(table_column=numbers),
                TextColumn("{task.fields[note]}", markup=False, table_column=words),
                console=Console(stderr=True),
                transient=True,
            )
            self._stack.enter_context(self._bars)
        _SHOWN.append(self)
        self._stack.callback(_SHOWN.remove, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __call__(self, stage: str, total: int) -> Tell:
        """Begins a stage of `total` steps; returns its counter."""
        if self._quiet:
            return silent
        name = short_name(stage)
        return self._bar(name, total) if self._draws else _lines(name, total)

    def _bar(self, stage: str, total: int) -> Tell:
        task = self._bars.add_task(stage, total=total, note="")

        def tell(steps: int, note: str = "", /) -> None:
            self._bars.update(task, advance=steps, note=note)
            if self._bars.tasks[task].finished:
                self._bars.update(task, visible=False)

        return tell


_SHOWN: list[Progress] = []
"""Those in their `with` blocks; two cannot draw bars at once."""


@contextmanager
def current() -> Iterator[Watch]:
    """Yields the progress that is being shown; if there is none, a new one."""
    if _SHOWN:
        yield _SHOWN[-1]
        return
    with Progress() as progress:
        yield progress


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _is_notebook() -> bool:
    # Without ipywidgets rich prints a warning for every bar instead of the bars.
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None


def _lines(stage: str, total: int) -> Tell:
    done, start = 0, time.monotonic()
    last = start

    def tell(steps: int, note: str = "", /) -> None:
        nonlocal done, last
        done += steps
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            words = f", {note}" if note else ""
            if 0 < done < total:
                left = (last - start) * (total - done) / done
                words += f", {timedelta(seconds=round(left))} left"
            sys.stderr.write(f"{stage}: {done} of {total}{words}\n")
            sys.stderr.flush()

    return tell
