"""Finds stored cells that a later run of the same things has made stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from oodbench.base.files import Record
from oodbench.results.schema import TWIN, fits
from oodbench.results.store import CellFile, SetFile

WHY = {
    "model": "other weights or preprocessing",
    "inside": "other in-distribution images",
    "set": "other images",
    "parameters": "other parameters",
    "source": "another version of the detector",
    "key": "fitted on other images",
}
"""By what differs from the later cell, the first that does."""


@dataclass(frozen=True)
class Stale:
    """A cell that is not what the same command would compute today."""

    file: SetFile
    cell: CellFile
    record: Record
    why: str
    latest: SetFile
    """Where its latest twin is; its own place where only the detector has changed."""


def stale_cells(
    sets: Iterable[SetFile], sources: Mapping[str, str] = MappingProxyType({})
) -> list[Stale]:
    """Returns the cells that have a later twin: of the same names, with other keys.

    Cells are of the same names where the model's file, the sets, their limit and the
    detector with its given parameters are called alike.

    Args:
        sets: Where to look.
        sources: Hashes of detectors as they are installed now, by name; cells of
            others are stale too.
    """
    twins: dict[tuple[Any, ...], list[tuple[SetFile, CellFile, Record]]] = {}
    for file in sets:
        for cell in file.cells():
            record = cell.read()
            if record is not None and fits(record, TWIN):
                twins.setdefault(_names(record), []).append((file, cell, record))
    found = []
    for cells in twins.values():
        *earlier, (file, cell, latest) = sorted(
            cells, key=lambda one: one[2]["run"]["finished"]
        )
        found += [
            Stale(own, old_cell, old, _why(old, latest), file)
            for own, old_cell, old in earlier
        ]
        name, source = latest["detector"]["name"], latest["detector"]["source"]
        if sources.get(name, source) != source:
            found.append(Stale(file, cell, latest, WHY["source"], file))
    return found


def _names(record: Record) -> tuple[Any, ...]:
    model, detector = record["model"], record["detector"]
    return (
        model["name"],
        model["source"].get("place"),
        record["inside"]["name"],
        record["set"]["name"],
        record["set"]["limit"],
        detector["label"],
    )


def _why(old: Record, latest: Record) -> str:
    for part in ("model", "inside", "set"):
        if old[part]["key"] != latest[part]["key"]:
            return WHY[part]
    differs = (p for p in WHY if old["detector"].get(p) != latest["detector"].get(p))
    return WHY[next(differs, "key")]
