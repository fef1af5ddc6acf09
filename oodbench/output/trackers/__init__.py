"""Programs that track experiments, one per file; a new file here is a new tracker.

A tracker has `write(place, runs)`, which sends runs to a place of its own. Its file has
the name of the extra, and imports the library in `write`.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.metrics.table import METRICS
from oodbench.results.rows import Measured


class Tracked(NamedTuple):
    """One detector of one model and in-distribution set."""

    name: str
    facts: dict[str, str]
    """What decides the numbers."""
    numbers: dict[tuple[str, str], float]
    """By metric and set, in [0, 1]."""

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers by METRIC/SET, in letters that every tracker allows."""
        return {
            f"{metric}/{re.sub(r'[^A-Za-z0-9_. -]', '_', outside)}": value
            for (metric, outside), value in self.numbers.items()
        }


def names() -> list[str]:
    """Returns the names of all trackers, sorted, without importing any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def send(measured: Iterable[Measured], tracker: str, place: str) -> int:
    """Sends all numbers to a tracker, and returns the number of runs there.

    Args:
        measured: The stored scores.
        tracker: One of `names()`.
        place: A folder, an address or a project, as the tracker has it.

    Raises:
        InputError: Its library is not installed, or it has no place.
    """
    if not place:
        raise InputError(f"Name a place for {tracker}, as in {tracker}:PLACE.")
    runs = [run for one in measured for run in _tracked(one)]
    try:
        import_module(f"{__name__}.{tracker}").write(place, runs)
    except ImportError as error:
        raise InputError(
            f"{tracker} is not installed; pip install 'oodbench[{tracker}]'."
        ) from error
    return len(runs)


def _tracked(measured: Measured) -> Iterable[Tracked]:
    group = measured.group
    for label, cell in group.inside.cells.items():
        numbers = {
            (name, row.outside): row.values[name]
            for row in measured.rows
            for name in METRICS
            if row.detector == label and name in row.values
        }
        facts = {
            "model": group.model,
            "in": group.inside.name,
            "detector": label,
            "model_key": cell.record["model"]["key"],
            "detector_key": cell.record["detector"]["key"],
        }
        title = printable(f"{group.model} {group.inside.name} {label}")
        if numbers:
            yield Tracked(title, facts, numbers)
