"""How long work reports its progress, whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Tell(Protocol):
    """Receives the number of steps done since the last call."""

    def __call__(self, steps: int, note: str = "", /) -> None:
        """Counts the steps; the note is a word on how the work goes."""


Watch = Callable[[str, int], Tell]
"""Begins a stage with a name and a number of steps; returns what counts the steps."""


def silent(steps: int, note: str = "", /) -> None:
    """Shows nothing."""


def unwatched(stage: str, steps: int) -> Tell:
    """Begins a stage that is not shown."""
    return silent
