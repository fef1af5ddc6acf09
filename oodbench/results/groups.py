"""Stored sets and scores, read once and sorted by model and in-distribution set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.base.files import Record
from oodbench.results.pair import DistrustedError
from oodbench.results.schema import CELL, IMPORTED, SET, fits, is_text
from oodbench.results.store import Cell, CellFile, SetFile


@dataclass
class StoredSet:
    """One set as one model sees it, with the scores of detectors on it."""

    name: str
    """Unique among the sets of all models with the same in-distribution set."""
    file: SetFile
    record: Record
    arrays: dict[str, NDArray[Any]]
    """`[N]` each, as in `store.Images`."""
    cells: dict[str, Cell] = field(default_factory=dict)
    """By the detector's label."""


@dataclass
class Group:
    """Everything stored of one model and one in-distribution set."""

    model: str
    """Unique among the models of the results."""
    inside: StoredSet
    outside: list[StoredSet]
    notes: list[str] = field(default_factory=list)
    """What makes numbers doubtful, and what is left out, each with the reason."""

    @property
    def is_imported(self) -> bool:
        """Whether another program computed the scores."""
        return fits(self.inside.record, IMPORTED)

    @property
    def correct(self) -> NDArray[np.bool_] | None:
        """`[N]`, whether each in-distribution prediction is right; None if unknown."""
        known = self.inside.arrays
        # Where labels are not the network's classes, a run stores no losses.
        graded = known.keys() >= {"predictions", "labels"} and (
            "nll" in known or self.is_imported
        )
        return known["predictions"] == known["labels"] if graded else None


def find(
    sets: Iterable[SetFile], methods: Collection[str] | None = None
) -> tuple[list[Group], list[str]]:
    """Returns the groups of some stored sets, and notes of what belongs to none.

    Args:
        sets: What to read; each file is read and hashed once.
        methods: Keys of the detectors that count; None for all, and of two with one
            label the one that was stored last.
    """
    folders: dict[Path, list[StoredSet]] = {}
    notes: list[str] = []
    for file in sets:
        if (found := read_set(file, notes)) is not None:
            folders.setdefault(file.path.parent, []).append(found)
    groups = []
    for folder, members in folders.items():
        inside = [one for one in members if one.record["set"]["role"] == "in"]
        if not inside:
            names = ", ".join(one.name for one in members)
            notes.append(
                f"{folder} is left out ({names}): what is stored of its "
                "in-distribution set is missing or damaged; run `oodbench run` again."
            )
            continue
        outside = [one for one in members if one.record["set"]["role"] != "in"]
        groups.append(Group(inside[0].record["model"]["name"], inside[0], outside))
    _name(groups)
    for group in groups:
        remarks = group.inside.record["model"].get("remarks", [])
        group.notes += [f"Warning: {each}" for each in remarks if is_text(each)]
        _read_cells(group, methods)
        group.notes += _imports(group)
    return sorted(groups, key=_order), notes


def _imports(group: Group) -> list[str]:
    """Returns a note where another program computed the scores."""
    cells = [
        cell for one in (group.inside, *group.outside) for cell in one.cells.values()
    ]
    records = [cell.record for cell in cells if fits(cell.record, IMPORTED)]
    files = sorted({record["imported"]["file"] for record in records})
    what = f"scores of {group.model} are imported from {', '.join(files)}"
    return [f"{what}; which images they are of is not checked"] if files else []


def _order(group: Group) -> tuple[str, str, str]:
    # Groups of one set stand together even where two sets share a name.
    return group.inside.name, group.inside.record["set"]["key"], group.model


def read_set(file: SetFile, notes: list[str]) -> StoredSet | None:
    """Returns a stored set; None where a note is added that says what is wrong."""
    try:
        found = file.load()
        if found is None:  # another process has removed it
            return None
        if not fits(found.record, SET):
            raise DistrustedError(
                f"{file.path} is damaged: the record lacks something."
            )
        images = found.record["set"]["images"]
        if any(len(array) != images for array in found.arrays.values()):
            raise DistrustedError(
                f"{file.path} is damaged: it is not of {images} images."
            )
    except DistrustedError as error:
        notes.append(f"Left out: {error}")
        return None
    name = found.record["set"]["name"]
    return StoredSet(name, file, found.record, found.arrays)


def _read_cells(group: Group, methods: Collection[str] | None) -> None:
    """Reads the cells of `inside`, and of the others those of the same detectors."""
    latest: dict[str, tuple[str, Cell]] = {}
    for file in group.inside.file.cells():
        cell = read_cell(file, group.inside, group.notes)
        if cell is None:
            continue
        label, when = cell.record["detector"]["label"], cell.record["run"]["finished"]
        wanted = methods is None or cell.record["detector"]["key"] in methods
        if wanted and when >= latest.get(label, ("", cell))[0]:
            latest[label] = (when, cell)
    group.inside.cells = {label: cell for label, (_, cell) in sorted(latest.items())}
    own = {file.path.name for file in group.inside.file.cells()}
    for one in group.outside:
        for label, inside in group.inside.cells.items():
            file = one.file.cell(label, inside.record["detector"]["key"])
            if (cell := read_cell(file, one, group.notes)) is not None:
                one.cells[label] = cell
        group.notes += [
            f"Left out: {file.path} has no counterpart on the in-distribution set."
            for file in one.file.cells()
            if file.path.name not in own and _is_of(file, methods)
        ]


def _is_of(file: CellFile, methods: Collection[str] | None) -> bool:
    ends = tuple(f"-{key[:8]}" for key in methods or ())
    return methods is None or file.path.stem.endswith(ends)


def read_cell(file: CellFile, of: StoredSet, notes: list[str]) -> Cell | None:
    """Returns a stored cell; None where there is none, or a note says what is wrong."""
    try:
        cell = file.load()
        if cell is None:
            return None
        if not fits(cell.record, CELL):
            raise DistrustedError(
                f"{file.path} is damaged: the record lacks something."
            )
        images = of.record["set"]["images"]
        if "failure" not in cell.record and len(cell.scores) != images:
            raise DistrustedError(
                f"{file.path} is damaged: it has {len(cell.scores)} scores for "
                f"{images} images; remove it and run again."
            )
    except DistrustedError as error:
        notes.append(f"Left out: {error}")
        return None
    return cell


def _name(groups: Iterable[Group]) -> None:
    """Gives models and sets names of their own."""
    groups = list(groups)
    sets: dict[str, list[Record]] = {}
    for group in groups:
        own = [one.record["set"] for one in group.outside]
        sets.setdefault(group.inside.record["set"]["key"], []).extend(own)
    model_name = _naming(group.inside.record["model"] for group in groups)
    inside_name = _naming(group.inside.record["set"] for group in groups)
    for group in groups:
        group.model = model_name(group.inside.record["model"])
        group.inside.name = inside_name(group.inside.record["set"])
        set_name = _naming(sets[group.inside.record["set"]["key"]])
        for one in group.outside:
            one.name = set_name(one.record["set"])


def _naming(things: Iterable[Record]) -> Callable[[Record], str]:
    """Returns what names a thing: by its name, and its key if others share the name."""
    keys: dict[str, set[str]] = {}
    for thing in things:
        keys.setdefault(thing["name"], set()).add(thing["key"])

    def name(thing: Record) -> str:
        is_shared = len(keys[thing["name"]]) > 1
        return f"{thing['name']} ({thing['key'][:8]})" if is_shared else thing["name"]

    return name


def every_record(groups: Iterable[Group]) -> Iterator[Record]:
    """Yields the records of all sets of some groups, the in-distribution ones first."""
    for group in groups:
        yield group.inside.record
        yield from (one.record for one in group.outside)
