"""Turns stored scores into numbers, one row a model, detector and out-set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.metrics import (
    bootstrap,
    calibration,
    intervals,
    ranking,
    selective,
    significance,
)
from oodbench.results.schema import CELL, SET, fits
from oodbench.results.store import CellFile, SetFile

CONTROL_SEPARATES = 0.95
"""A control's AUROC from which its set is flagged: pixels alone tell it apart."""
MANY_TIES = 0.5
"""A share of tied scores from which a detector's row is flagged."""
GRADES = {"labels", "predictions", "confidences", "nll", "brier"}
"""Arrays that tell how well a model classifies."""
FEWEST_CLUSTERS = 10
"""Fewer say too little of how they vary; images then count as independent."""


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
    """`auroc`, `aupr_in`, `aupr_out`, `fpr95`, `fpr95_openood`, with labels `aurc` and
    `augrc`, and ends of 95 % intervals as `auroc_low`, `auroc_high`, `fpr95_low`, …,
    all in [0, 1]; empty where the cell failed."""
    failure: str = ""
    flags: tuple[str, ...] = ()
    clusters_out: int = 0
    """Origins of the OOD images; 0 where every image has its own."""


@dataclass(frozen=True)
class Fitness:
    """How well one model classifies its in-set."""

    model: str
    inside: str
    images: int
    classes: int
    values: dict[str, float]
    """`accuracy`, `nll`, `brier`, `ece`, `adaptive_ece`."""

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
    clusters: intervals.Clusters = intervals.INDEPENDENT
    """Of the classes that have enough of them."""
    correct: NDArray[np.bool_] | None = None
    """Whether the prediction of each ID image is right; None without labels."""


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
        if record is not None and fits(record, SET):
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
    found = pairs(group)
    rows = [_row(pair) for pair in found]
    even = {
        (outside, contrast.label)
        for outside, members in by_set(found).items()
        for contrast in contrasts(members)
        if not contrast.is_significant
    }
    separated = {
        row.outside
        for row in rows
        if row.control and row.values.get("auroc", 0) >= CONTROL_SEPARATES
    }
    return [
        replace(
            row,
            flags=row.flags
            + ("control",) * (row.outside in separated)
            + ("even",) * ((row.outside, row.detector) in even),
        )
        for row in rows
    ]


def by_set(found: Iterable[Scores]) -> dict[str, list[Scores]]:
    """Sorts the scores of one model by out-set."""
    sets: dict[str, list[Scores]] = {}
    for pair in found:
        sets.setdefault(pair.row.outside, []).append(pair)
    return sets


def contrasts(
    found: Iterable[Scores], against: str | None = None
) -> list[significance.Contrast]:
    """Compares the detectors of one model and pair of sets with one of them.

    Args:
        found: Of one model and pair of sets. Failed cells are left out, and controls
            but for one that is named.
        against: Label of the detector to compare with; None for the best.
    """
    scored = {
        one.row.detector: one
        for one in found
        if not one.row.failure and (not one.row.control or one.row.detector == against)
    }
    if not scored or (against is not None and against not in scored):
        return []
    placed = {
        label: intervals.placements(one.inside, one.outside)
        for label, one in scored.items()
    }
    return significance.contrasts(
        {label: float(place.inside.mean()) for label, place in placed.items()},
        lambda one, other: significance.delong_difference(
            placed[one], placed[other], scored[one].clusters
        ),
        against,
    )


def cluster_notes(rows: Sequence[Row]) -> list[str]:
    """Says where images of one origin count together, and where they ought to."""
    counts = {row.outside: row.clusters_out for row in rows if row.clusters_out}
    return [
        f"{outside}: intervals and tests are over {count} origins of the images"
        if count >= FEWEST_CLUSTERS
        else f"{outside}: its images come from {count} origins, too few to be counted "
        "together; intervals and tests take images as independent and are too sure"
        for outside, count in counts.items()
    ]


def fitness(group: Group) -> Fitness | None:
    """Returns how a model classifies its in-set; None without labels or numbers."""
    arrays = group.images.arrays()
    graded = arrays.keys() >= GRADES
    if not (graded and np.isfinite(arrays["nll"]).all()):
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
    known = group.images.arrays()
    # Labels that are not the network's classes have no losses beside them.
    graded = known.keys() >= {"predictions", "labels", "nll"}
    correct = known["predictions"] == known["labels"] if graded else None
    # Read once for all out-sets: every read hashes the scores.
    methods = {
        label: (record, cell)
        for label, cell in group.cells.items()
        if (record := cell.read()) is not None
    }
    found = []
    for record, file in group.outside:
        clusters = intervals.Clusters(
            known.get("clusters"), file.arrays().get("clusters")
        )
        for label, inside in methods.items():
            outside = file.cell(label, inside[0]["detector"]["key"])
            if (stored := outside.read()) is not None and fits(stored, CELL):
                name = names[record["set"]["key"]]
                pair = _pair(group, name, inside, (stored, outside), clusters)
                found.append(replace(pair, correct=correct))
    return found


def _pair(
    group: Group,
    name: str,
    inside: tuple[Record, CellFile],
    outside: tuple[Record, CellFile],
    clusters: intervals.Clusters,
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
        clusters_out=_count(clusters.outside),
    )
    none = np.empty(0)
    if failure:
        return Scores(row, none, none)
    return Scores(row, _scores(*inside), _scores(*outside), _enough(clusters))


def _scores(record: Record, file: CellFile) -> NDArray[np.float64]:
    scores, images = file.scores(), record["set"]["images"]
    if len(scores) != images:
        raise InputError(
            f"{file.path} is damaged: it has {len(scores)} scores for {images} images; "
            "remove it and run again."
        )
    return scores


def _count(labels: ArrayLike | None) -> int:
    return 0 if labels is None else len(np.unique(labels))


def _enough(clusters: intervals.Clusters) -> intervals.Clusters:
    return intervals.Clusters(
        *(labels if _count(labels) >= FEWEST_CLUSTERS else None for labels in clusters)
    )


def _row(pair: Scores) -> Row:
    if pair.row.failure:
        return pair.row
    sample = (pair.inside, pair.outside, pair.clusters)
    found = {
        "auroc": intervals.delong_interval(*sample),
        "fpr95": bootstrap.fpr_interval(*sample),
        "fpr95_openood": bootstrap.fpr_interval(*sample, convention="openood"),
    }
    values = ranking.summary(pair.inside, pair.outside)
    if pair.correct is not None:
        both = pair.inside, pair.outside, pair.correct
        values |= {"aurc": selective.aurc(*both), "augrc": selective.augrc(*both)}
    for name, interval in found.items():
        values |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    tied = ranking.tie_share(np.concatenate([pair.inside, pair.outside])) > MANY_TIES
    flags = (*pair.row.flags, "ties") if tied else pair.row.flags
    return replace(pair.row, values=values, flags=flags)


def _latest(file: SetFile, methods: Collection[str] | None) -> dict[str, CellFile]:
    latest: dict[str, tuple[str, CellFile]] = {}
    for cell in file.cells():
        record = cell.read()
        if record is None or not fits(record, CELL):
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
