"""Lays out which detectors, or kinds of models, differ by more than chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oodbench.base.errors import InputError
from oodbench.metrics import ranking
from oodbench.metrics.ranking import FloatArray
from oodbench.metrics.significance import (
    Contrast,
    Difference,
    Seeds,
    contrasts,
    holm,
    over_seeds,
    seed_difference,
)
from oodbench.results import rows as measures
from oodbench.results.rows import Group, cluster_notes

FIRST = "the first line of a set is what its others are compared with"

Cell = tuple[str, str]
"""An out-set and a detector."""


@dataclass(frozen=True)
class Line:
    """One detector on one set, beside another one or beside another kind of model."""

    outside: str
    detector: str
    values: tuple[Seeds, ...]
    """AUROC; of both kinds where two are compared."""
    contrast: Contrast | None
    """None for the one that the others are compared with."""


@dataclass(frozen=True)
class Comparison:
    """The lines of one model, kind of model or pair of kinds beside one in-set."""

    inside: str
    names: tuple[str, ...]
    """Of the model or kinds whose values the lines hold."""
    lines: list[Line]
    notes: list[str]

    @property
    def title(self) -> str:
        """What stands above the table."""
        subject = " minus ".join(self.names)
        if len(self.names) == 1:
            subject = f"Detectors of {subject}"
        return f"{subject}; in-distribution {self.inside}."


def of_model(group: Group, named: str | None = None) -> Comparison:
    """Compares the detectors of one model with the best, or with a named one."""
    found = measures.pairs(group)
    lines = []
    for outside, members in measures.by_set(found).items():
        beside = measures.contrasts(members, named)
        values = {
            one.row.detector: Seeds(
                ranking.auroc(one.inside, one.outside), float("nan")
            )
            for one in members
            if not one.row.failure
        }
        lines += _lines(outside, values, beside)
    notes = [
        FIRST,
        "difference in AUROC, in points, with its 95 % interval: paired DeLong, over "
        "images, of one checkpoint",
        _family(named),
        *cluster_notes([one.row for one in found]),
    ]
    return Comparison(group.inside["set"]["name"], (group.model,), lines, notes)


def of_seeds(
    kind: str, groups: Sequence[Group], named: str | None = None
) -> Comparison:
    """Compares detectors over models that differ in their seed alone."""
    table = _table(groups)
    lines = []
    for outside in dict.fromkeys(outside for outside, _ in table):
        own = {label: row for (where, label), row in table.items() if where == outside}

        def between(
            one: str, other: str, own: Mapping[str, FloatArray] = own
        ) -> Difference:
            return seed_difference(own[one], own[other])

        values = {label: over_seeds(row) for label, row in own.items()}
        means = {label: value.mean for label, value in values.items()}
        known = named is None or named in own
        beside = contrasts(means, between, named) if known else []
        lines += _lines(outside, values, beside)
    notes = [FIRST, *_seed_notes([(kind, groups)]), _family(named)]
    return Comparison(groups[0].inside["set"]["name"], (kind,), lines, notes)


def of_kinds(kinds: Mapping[str, Sequence[Group]]) -> Comparison:
    """Compares two kinds of models, their seeds paired in the given order.

    Raises:
        InputError: They have not as many models.
    """
    (one, first), (other, second) = kinds.items()
    if len(first) != len(second):
        raise InputError(
            f"{one} has {len(first)} models and {other} {len(second)}; give as many of "
            "each, since seeds are paired in order."
        )
    tables = _table(first), _table(second)
    shared = [cell for cell in tables[0] if cell in tables[1]]
    lines = []
    for outside in dict.fromkeys(outside for outside, _ in shared):
        labels = [label for where, label in shared if where == outside]
        rows = [[table[outside, label] for table in tables] for label in labels]
        found = [seed_difference(*pair) for pair in rows]
        corrected = holm([difference.p for difference in found])
        lines += [
            Line(
                outside,
                label,
                tuple(map(over_seeds, pair)),
                Contrast(label, other, difference, p),
            )
            for label, pair, difference, p in zip(
                labels, rows, found, corrected, strict=True
            )
        ]
    notes = [
        *_seed_notes(kinds.items()),
        "p: corrected by Holm over the detectors of a set",
    ]
    return Comparison(first[0].inside["set"]["name"], (one, other), lines, notes)


def _lines(
    outside: str, values: Mapping[str, Seeds], beside: Sequence[Contrast]
) -> list[Line]:
    """Returns the one that is compared with, then the others, the best first."""
    if not beside:
        return []
    first = Line(outside, beside[0].against, (values[beside[0].against],), None)
    others = [Line(outside, c.label, (values[c.label],), c) for c in beside]
    return [first, *sorted(others, key=lambda line: -line.values[0].mean)]


def _table(groups: Sequence[Group]) -> dict[Cell, FloatArray]:
    """Returns the AUROCs `[S]` of what all models have, without controls."""
    if len(groups) < 2:
        names = ", ".join(group.model for group in groups)
        raise InputError(
            f"To compare over seeds takes at least two models of a kind, not {names}."
        )
    found: dict[Cell, list[float]] = {}
    for group in groups:
        for one in measures.pairs(group):
            if not (one.row.control or one.row.failure):
                area = ranking.auroc(one.inside, one.outside)
                found.setdefault((one.row.outside, one.row.detector), []).append(area)
    return {
        cell: np.array(values)
        for cell, values in found.items()
        if len(values) == len(groups)
    }


def _seed_notes(kinds: Iterable[tuple[str, Sequence[Group]]]) -> list[str]:
    members = [
        f"{kind}: {', '.join(group.model for group in groups)}"
        for kind, groups in kinds
    ]
    return [
        *members,
        "AUROC: mean ± sample deviation over models",
        "difference in AUROC, in points, with its 95 % interval: Student's t over "
        "models, paired in this order",
    ]


def _family(named: str | None) -> str:
    if named is None:
        return (
            "p: corrected by Holm over all pairs of detectors of a set, since the same "
            "numbers choose the best"
        )
    return f"p: corrected by Holm over the detectors of a set beside {named}"
