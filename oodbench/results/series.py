"""Sets that are shifted by degrees, sorted into series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from oodbench.results.rows import Row


class Series(NamedTuple):
    """What the sets of a series have in common."""

    role: str
    name: str
    scale: str
    """What their levels measure."""


def series_of(rows: Iterable[Row]) -> dict[Series, dict[str, list[Row]]]:
    """Returns the rows of each series by detector, from the lowest level on.

    Failed cells are left out, and so are series of one level only, or with two sets of
    one level: which of them belongs to the others is not known.

    Args:
        rows: Of one model and in-distribution set.
    """
    found: dict[Series, dict[str, list[Row]]] = {}
    for row in rows:
        if row.series and row.level is not None and row.values:
            key = Series(row.role, row.series, row.scale)
            found.setdefault(key, {}).setdefault(row.detector, []).append(row)
    for detectors in found.values():
        for members in detectors.values():
            members.sort(key=lambda row: row.level or 0)
    return {key: each for key, each in found.items() if _is_curve(each)}


def _is_curve(detectors: dict[str, list[Row]]) -> bool:
    levels = {row.outside: row.level for rows in detectors.values() for row in rows}
    return len(levels) > 1 and max(Counter(levels.values()).values()) == 1
