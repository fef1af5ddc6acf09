"""Turns stored scores into numbers, one row a model, detector and out-set."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench import calibration, intervals, metrics
from oodbench.results import CellFile, Record, SetFile

CONTROL_SEPARATES = 0.95
"""A control's AUROC from which its set is flagged: pixels alone tell it apart."""
MANY_TIES = 0.5
"""A share of tied scores from which a detector's row is flagged."""


@dataclass(frozen=True)
class Row:
    """One detector on one pair of sets."""

    model: str
    inside: str
    outside: str
    role: str
    detector: str
    control: bool
    images_in: int
    images_out: int
    values: dict[str, float] = field(default_factory=dict)
    """`auroc`, `auroc_low`, `auroc_high`, `aupr_in`, `aupr_out`, `fpr95`,
    `fpr95_openood`, all in [0, 1]; empty where the cell failed."""
    failure: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitness:
    """How well one model classifies its in-set."""

    model: str
    inside: str
    images: int
    classes: int
    values: dict[str, float]
    """`accuracy`, `nll`, `brier`, `ece`."""

    @property
    def is_chance(self) -> bool:
        """Whether it guesses: mostly wrong preprocessing or label order."""
        return self.values["accuracy"] < 1.5 / self.classes


@dataclass(frozen=True)
class Scores:
    """The stored scores of one detector on one pair of sets."""

    row: Row
    inside: NDArray[np.float64]
    outside: NDArray[np.float64]


@dataclass
class Group:
    """One model beside one in-set: all that may stand in one table."""

    model: str
    inside: Record
    images: SetFile
    cells: dict[str, CellFile]
    """The in-set's, by detector label."""
    outside: list[tuple[Record, SetFile]]


def groups(
    sets: Iterable[SetFile], methods: Collection[str] | None = None
) -> list[Group]:
    """Sorts stored sets by model and in-set.

    Args:
        sets: What to read; damaged or foreign files are passed over.
        methods: Keys of the detectors that count; None for all, and of two with one
            label the one that was stored last.
    """
    folders: dict[Path, list[tuple[Record, SetFile]]] = {}
    for file in sets:
        record = file.read()
        if record is not None and "set" in record:
            folders.setdefault(file.path.parent, []).append((record, file))
    found = []
    models = _unique_names(records[0][0]["model"] for records in folders.values())
    for records in folders.values():
        inside = [pair for pair in records if pair[0]["set"]["role"] == "in"]
        if not inside:
            continue
        record, file = inside[0]
        outside = [pair for pair in records if pair[0]["set"]["role"] != "in"]
        model = models[record["model"]["key"]]
        found.append(Group(model, record, file, _latest(file, methods), outside))
    return sorted(found, key=lambda group: (group.inside["set"]["name"], group.model))


def measure(group: Group) -> list[Row]:
    """Returns a row for every detector and out-set of a group."""
    rows = [_row(pair) for pair in pairs(group)]
    separated = {
        row.outside
        for row in rows
        if row.control and row.values.get("auroc", 0) >= CONTROL_SEPARATES
    }
    return [
        replace(row, flags=(*row.flags, "control")) if row.outside in separated else row
        for row in rows
    ]


def fitness(group: Group) -> Fitness | None:
    """Returns how a model classifies its in-set; None without labels or numbers."""
    arrays = group.images.arrays()
    if not np.isfinite(arrays.get("nll", np.nan)).all():
        return None
    return Fitness(
        model=group.model,
        inside=group.inside["set"]["name"],
        images=len(arrays["nll"]),
        classes=group.inside["model"]["classes"],
        values=calibration.summary(
            arrays["labels"],
            arrays["predictions"],
            confidence=arrays["confidences"],
            nll=arrays["nll"],
            brier=arrays["brier"],
        ),
    )


def pairs(group: Group) -> list[Scores]:
    """Returns the stored scores of every detector and out-set of a group."""
    names = _unique_names(record["set"] for record, _ in group.outside)
    found = []
    for record, file in group.outside:
        for label, inside in group.cells.items():
            method = inside.read()
            if method is None:
                continue
            outside = file.cell(label, method["detector"]["key"])
            if (stored := outside.read()) is not None:
                name = names[record["set"]["key"]]
                found.append(_pair(group, name, (method, inside), (stored, outside)))
    return found


def _pair(
    group: Group,
    name: str,
    inside: tuple[Record, CellFile],
    outside: tuple[Record, CellFile],
) -> Scores:
    record = outside[0]
    failure = inside[0].get("failure") or record.get("failure") or ""
    flags = {
        "limit": record["set"]["limit"] is not None,
        "overlap": record["set"]["shared_images"] > 0,
    }
    row = Row(
        model=group.model,
        inside=group.inside["set"]["name"],
        outside=name,
        role=record["set"]["role"],
        detector=record["detector"]["label"],
        control=record["detector"]["control"],
        images_in=group.inside["set"]["images"],
        images_out=record["set"]["images"],
        failure=failure,
        flags=tuple(flag for flag, raised in flags.items() if raised),
    )
    none = np.empty(0)
    if failure:
        return Scores(row, none, none)
    return Scores(row, inside[1].scores(), outside[1].scores())


def _row(pair: Scores) -> Row:
    if pair.row.failure:
        return pair.row
    interval = intervals.delong_interval(pair.inside, pair.outside)
    values = {
        **metrics.summary(pair.inside, pair.outside),
        "auroc_low": interval.low,
        "auroc_high": interval.high,
    }
    tied = metrics.tie_share(np.concatenate([pair.inside, pair.outside])) > MANY_TIES
    flags = (*pair.row.flags, "ties") if tied else pair.row.flags
    return replace(pair.row, values=values, flags=flags)


def _latest(file: SetFile, methods: Collection[str] | None) -> dict[str, CellFile]:
    latest: dict[str, tuple[str, CellFile]] = {}
    for cell in file.cells():
        record = cell.read()
        if record is None or "detector" not in record:
            continue
        label, when = record["detector"]["label"], record["run"]["finished"]
        wanted = methods is None or record["detector"]["key"] in methods
        if wanted and when >= latest.get(label, ("", cell))[0]:
            latest[label] = (when, cell)
    return {label: cell for label, (_, cell) in sorted(latest.items())}


def _unique_names(things: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Maps keys to names; names that several keys share get the key's beginning."""
    names = {thing["key"]: thing["name"] for thing in things}
    taken = list(names.values())
    return {
        key: name if taken.count(name) == 1 else f"{name} ({key[:8]})"
        for key, name in names.items()
    }
