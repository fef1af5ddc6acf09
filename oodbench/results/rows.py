"""Turns stored scores into numbers: one row per model, detector and OOD set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oodbench.base.files import key_of
from oodbench.base.sources import package_key
from oodbench.base.tuning import TuningProtocol, protocol_of
from oodbench.metrics import intervals, significance, table
from oodbench.metrics.counted import areas
from oodbench.metrics.spreads import INDEPENDENT, Clusters, Placements
from oodbench.metrics.table import METRICS, Sample
from oodbench.results import clusters as origins
from oodbench.results.fitness import Fitness, fitness
from oodbench.results.groups import Group, StoredSet
from oodbench.results.kept import Kept, Numbers
from oodbench.results.schema import GRADE, fits
from oodbench.results.store import Cell

CODE = ("metrics", "results"), ("numpy", "scipy")
"""The folders of the code that computes the numbers, and the libraries it runs on."""
CONTROL_SEPARATES = 0.95
"""A control's AUROC from which its set is flagged: pixels alone separate the images."""
AT_ONCE = 1 << 18
"""Scores that are measured at once, so that they stay in a cache."""
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
    """Every metric of `METRICS` that can be computed, and the ends of the 95 %
    intervals as `auroc_low`, `auroc_high`, …, all in [0, 1]; empty where the cell
    failed."""
    failure: str = ""
    flags: tuple[str, ...] = ()
    clusters_out: int = 0
    """Origins of the OOD images; 0 where every image has its own."""
    seeds: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Of a kind of models: the metrics of each model."""
    tuned: TuningProtocol | None = None
    """How the parameters were chosen, where that is known."""
    series: str = ""
    """The series of sets that the OOD set has a place in; empty if there is none."""
    level: float | None = None
    """How far the OOD set is shifted within its series."""
    scale: str = ""
    """What the level measures, such as severity."""
    accuracy_out: float | None = None
    """On a covariate-shifted set, in [0, 1]; None where classes are not known."""

    @property
    def apart(self) -> bool:
        """Whether it is shown apart and never ranked: it is no detector to choose."""
        return self.control or self.tuned == "oracle"

    @property
    def title(self) -> str:
        """The detector as tables name it."""
        return self.detector + " (control)" * self.control


@dataclass(frozen=True)
class Scores:
    """The stored scores of one detector on one pair of sets, with their row."""

    row: Row
    inside: NDArray[np.float64]
    """`[N]`; empty where the cell failed."""
    outside: NDArray[np.float64]
    """`[M]`."""
    clusters: Clusters = INDEPENDENT
    """Of the classes that have enough of them."""
    correct: NDArray[np.bool_] | None = None
    """`[N]`, whether the prediction of each ID image is right; None without labels."""
    key: str = ""
    """A hash of everything that decides the numbers; empty where the cell failed."""


@dataclass(frozen=True)
class Measured:
    """All numbers of a model and in-distribution set, computed once for all outputs."""

    group: Group
    scores: list[Scores]
    fitness: Fitness | None
    """None where `fitness.lack` gives a reason."""
    shifted: dict[str, Fitness] = field(default_factory=dict)
    """The same on each covariate-shifted set whose classes are known, by its name."""

    @property
    def rows(self) -> list[Row]:
        """One per detector and OOD set, in the order of the scores."""
        return [one.row for one in self.scores]


def measure(
    group: Group, hidden: Collection[str] = (), *, trusts_kept: bool = True
) -> Measured:
    """Returns the numbers of the detectors on every OOD set of a group.

    Args:
        group: What is stored.
        hidden: Controls that flag sets and have no numbers among the others.
        trusts_kept: Whether to take numbers that are kept beside the scores, which
            whoever can write there could have forged.
    """
    kept = Kept(group.inside.file.path.parent if trusts_kept else None)
    found: list[Scores] = []
    even = set()
    for members in filter(None, _pairs(group)):
        numbers, corrected = _numbers(members, kept)
        found += [replace(one, row=_row(one, numbers)) for one in members]
        even |= {
            (members[0].row.outside, label)
            for label, p in corrected.items()
            if p >= significance.SIGNIFICANCE
        }
    kept.save()
    separated = {
        one.row.outside
        for one in found
        if one.row.control and one.row.values.get("auroc", 0) >= CONTROL_SEPARATES
    }

    shifted = {
        one.name: found_fit
        for one in group.outside
        if one.record["set"]["role"] == "covariate"
        and (found_fit := fitness(group, one))
    }

    def completed(row: Row) -> Row:
        control = ("control",) * (row.outside in separated)
        same = ("even",) * ((row.outside, row.detector) in even)
        flags = row.flags + control + same
        fit = shifted.get(row.outside)
        accuracy = fit.values["accuracy"] if fit else None
        return replace(row, flags=flags, accuracy_out=accuracy)

    whole = [
        replace(one, row=completed(one.row))
        for one in found
        if one.row.detector not in hidden
    ]
    return Measured(group, whole, fitness(group, group.inside), shifted)


def by_set(found: Iterable[Scores]) -> dict[str, list[Scores]]:
    """Sorts the scores of one model by OOD set."""
    sets: dict[str, list[Scores]] = {}
    for one in found:
        sets.setdefault(one.row.outside, []).append(one)
    return sets


def contrasts(
    found: Iterable[Scores], against: str | None = None
) -> list[significance.Contrast]:
    """Compares the detectors of one model and pair of sets with one of them.

    Args:
        found: Of one model and pair of sets. Failed cells are left out, and so are
            rows apart, except for one that is named.
        against: Label of the detector to compare with; None for the best.
    """
    scored = [one for one in found if not one.row.failure]
    placed = [sample.placements for _, sample in _samples(scored)]
    return _contrasts(scored, placed, against)


def _contrasts(
    scored: Sequence[Scores], parts: Sequence[Placements], against: str | None = None
) -> list[significance.Contrast]:
    """Returns `contrasts` from the placements of all detectors, in parts."""
    number = {
        one.row.detector: index
        for index, one in enumerate(scored)
        if not one.row.apart or one.row.detector == against
    }
    if not number or (against is not None and against not in number):
        return []
    placed = Placements(*map(np.concatenate, zip(*parts, strict=True)))
    area = areas(placed).tolist()
    return significance.contrasts(
        {label: area[index] for label, index in number.items()},
        lambda pairs: significance.delong_differences(
            placed,
            [(number[one], number[other]) for one, other in pairs],
            scored[0].clusters,
        ),
        against,
    )


def _numbers(
    members: Sequence[Scores], kept: Kept
) -> tuple[dict[str, Numbers], Numbers]:
    """Returns the numbers of the detectors on one OOD set, computing what is not kept.

    Returns:
        By the key of its scores the values of each row, its share of ties and how many
        images decide. And the corrected p-value of every detector but the best.
    """
    scored = [one for one in members if not one.row.failure]
    about = [(one.row.detector, one.row.apart, one.key) for one in members]
    key = key_of("compared with the best", about)
    found = {one.key: known for one in scored if (known := kept.get(one.key))}
    corrected = kept.get(key)
    if corrected is None or not all(one.key in found for one in scored):
        placed = []
        for part, sample in _samples(scored):
            if not all(one.key in found for one in part):
                new = zip(part, table.numbers(sample), strict=True)
                found |= {one.key: numbers for one, numbers in new}
            placed.append(sample.placements)
        corrected = {one.label: one.corrected for one in _contrasts(scored, placed)}
        for each, numbers in {**found, key: corrected}.items():
            kept.add(each, numbers)
    return found, corrected


def _samples(scored: Sequence[Scores]) -> Iterator[tuple[Sequence[Scores], Sample]]:
    """Yields the scores of detectors on one pair of sets in parts, each a sample."""
    images = max([1, *(one.inside.size + one.outside.size for one in scored)])
    size = max(1, AT_ONCE // images)
    for start in range(0, len(scored), size):
        part = scored[start : start + size]
        inside = np.stack([one.inside for one in part])
        outside = np.stack([one.outside for one in part])
        yield part, Sample(inside, outside, part[0].clusters, part[0].correct)


def _pairs(group: Group) -> Iterator[list[Scores]]:
    """Yields the scores of all detectors on each OOD set of a group, not yet measured.

    What is computed from them is freed with them.
    """
    known, correct = group.inside.arrays, group.correct
    for one in group.outside:
        clusters = Clusters(known.get("clusters"), one.arrays.get("clusters"))
        yield [
            replace(
                _pair(group, one, inside, one.cells[label], clusters),
                correct=correct,
            )
            for label, inside in group.inside.cells.items()
            if label in one.cells
        ]


def _pair(
    group: Group,
    one: StoredSet,
    inside: Cell,
    outside: Cell,
    clusters: Clusters,
) -> Scores:
    known, about = group.inside.record["set"], one.record["set"]
    grade = about["grade"] if fits(about, GRADE) else {}
    failure = inside.record.get("failure") or outside.record.get("failure") or ""
    flags = {
        "limit": known["limit"] is not None or about["limit"] is not None,
        "overlap": about["shared_images"] > 0,
        "imported": group.is_imported,
    }
    row = Row(
        model=group.model,
        inside=group.inside.name,
        outside=one.name,
        role=about["role"],
        detector=outside.record["detector"]["label"],
        control=outside.record["detector"]["control"],
        images_in=known["images"],
        images_out=about["images"],
        failure=failure,
        flags=tuple(flag for flag, raised in flags.items() if raised),
        clusters_out=origins.count(clusters.outside),
        tuned=protocol_of(outside.record["detector"]["label"]),
        series=grade.get("series", ""),
        level=grade.get("level"),
        scale=grade.get("scale", ""),
    )
    if failure:
        return Scores(row, np.empty(0), np.empty(0))
    records = inside, outside, group.inside, one
    arrays = [each.record["arrays"]["sha256"] for each in records]
    return Scores(
        row,
        inside.scores,
        outside.scores,
        origins.enough(clusters),
        key=key_of(package_key(*CODE), list(METRICS), group.is_imported, arrays),
    )


def _row(one: Scores, numbers: Mapping[str, Numbers]) -> Row:
    if one.row.failure:
        return one.row
    values = dict(numbers[one.key])
    flags = {
        "ties": values.pop("tied") > MANY_TIES,
        # No image decides where the scores are separated.
        "few": 0 < values.pop("deciding") < intervals.FEW_IMAGES,
    }
    raised = tuple(flag for flag, is_raised in flags.items() if is_raised)
    return replace(one.row, values=values, flags=one.row.flags + raised)
