"""Finds stored cells that a later run has made stale: same names, other contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from oodbench.base.files import Record
from oodbench.results.schema import COMPARED, fits
from oodbench.results.store import CellFile, SetFile

WHY = {
    "model": "other weights or preprocessing",
    "inside": "other in-distribution images",
    "set": "other images",
    "parameters": "other parameters",
    "source": "another version of the detector",
    "tuned": "parameters chosen in another way",
    "key": "fitted on other images",
}
"""Reasons, by the first part of the record that differs from the later cell."""


@dataclass(frozen=True)
class Stale:
    """A cell whose scores the same command would not compute today."""

    file: SetFile
    cell: CellFile
    record: Record
    why: str
    latest: SetFile
    """The set of the later cell; the own set where only the detector has changed."""


def stale_cells(
    sets: Iterable[SetFile], sources: Mapping[str, str] = MappingProxyType({})
) -> list[Stale]:
    """Returns the cells for which a later cell has the same names and other keys.

    Two cells have the same names if these agree: the model's name and file, the specs
    and places of both sets (`npz:a/test.npz` and `npz:b/test.npz` are two sets, and so
    is `npz:test.npz` in two working folders), their limit, the detector with its
    parameters, and the set that it is fitted on.

    Args:
        sets: Where to look.
        sources: Hashes of the installed detectors by name; a cell of another version
            of its detector is stale too.
    """
    read = ((file, cell, cell.read()) for file in sets for cell in file.cells())
    return stale_among(read, sources)


def stale_among(
    cells: Iterable[tuple[SetFile, CellFile, Record | None]],
    sources: Mapping[str, str] = MappingProxyType({}),
) -> list[Stale]:
    """Returns the stale ones of some cells that are read already; see `stale_cells`."""
    of_names: dict[tuple[Any, ...], list[tuple[SetFile, CellFile, Record]]] = {}
    for file, cell, record in cells:
        if record is not None and fits(record, COMPARED):
            of_names.setdefault(_names(record), []).append((file, cell, record))
    found = []
    for same in of_names.values():
        *earlier, (file, cell, latest) = sorted(
            same, key=lambda one: one[2]["run"]["finished"]
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
        _spec(record["inside"]),
        _spec(record["set"]),
        record["set"]["limit"],
        detector["label"],
        _spec(detector.get("fitted_on")),
    )


def _spec(images: object) -> tuple[object, ...]:
    """Returns what identifies a set; its name may be the last name of others too."""
    if not isinstance(images, dict):
        return ()
    return tuple(str(images.get(key, "")) for key in ("name", "spec", "place"))


def _why(old: Record, latest: Record) -> str:
    for part in ("model", "inside", "set"):
        if old[part]["key"] != latest[part]["key"]:
            return WHY[part]
    differs = (p for p in WHY if old["detector"].get(p) != latest["detector"].get(p))
    return WHY[next(differs, "key")]
