"""Compares detectors, or kinds of models: differences, intervals and p-values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oodbench.base.errors import InputError
from oodbench.metrics.ranking import FloatArray
from oodbench.metrics.significance import (
    Contrast,
    Seeds,
    between_seeds,
    holm,
    over_seeds,
    seed_difference,
)
from oodbench.results import clusters
from oodbench.results import rows as measures
from oodbench.results.rows import Measured, Row

FIRST = "the first line of each set is the detector that the others are compared with"

Cell = tuple[str, str]
"""An OOD set and a detector."""


@dataclass(frozen=True)
class Line:
    """One detector on one set, compared with another detector or kind of model."""

    outside: str
    detector: str
    values: tuple[Seeds, ...]
    """The AUROC; of both kinds where two kinds are compared."""
    contrast: Contrast | None
    """None for the detector that the others are compared with."""


@dataclass(frozen=True)
class Comparison:
    """The lines of a model, a kind or a pair of kinds, on one in-distribution set."""

    inside: str
    names: tuple[str, ...]
    """The model or the kinds whose values the lines hold."""
    lines: list[Line]
    notes: list[str]

    @property
    def title(self) -> str:
        """The words above the table."""
        subject = " minus ".join(self.names)
        if len(self.names) == 1:
            subject = f"Detectors of {subject}"
        return f"{subject}; in-distribution {self.inside}."


def of_model(measured: Measured, named: str | None = None) -> Comparison:
    """Compares the detectors of one model with the best, or with a named one."""
    lines = []
    for outside, members in measures.by_set(measured.scores).items():
        values = {
            one.row.detector: Seeds(one.row.values["auroc"], float("nan"))
            for one in members
            if not one.row.failure
        }
        lines += _lines(outside, values, measures.contrasts(members, named))
    notes = [
        FIRST,
        "difference in AUROC, in points, with its 95 % interval: paired DeLong test "
        "over images, for one checkpoint",
        _family(named),
        *clusters.notes({row.outside: row.clusters_out for row in measured.rows}),
        *_left_out(measured.rows, lines),
        *measured.group.notes,
    ]
    group = measured.group
    return Comparison(group.inside.name, (group.model,), lines, notes)


def of_seeds(
    kind: str, models: Sequence[Measured], named: str | None = None
) -> Comparison:
    """Compares detectors over models that differ only in their seed."""
    table = _table(models)
    lines = []
    for outside in dict.fromkeys(outside for outside, _ in table):
        own = {label: row for (where, label), row in table.items() if where == outside}
        values = {label: over_seeds(row) for label, row in own.items()}
        known = named is None or named in own
        compared = between_seeds(own, named) if known else []
        lines += _lines(outside, values, compared)
    rows = [row for one in models for row in one.rows]
    left_out = _left_out(rows, lines)
    notes = [FIRST, *_seed_notes([(kind, models)]), _family(named), *left_out]
    return Comparison(models[0].group.inside.name, (kind,), lines, notes)


def of_kinds(kinds: Mapping[str, Sequence[Measured]]) -> Comparison:
    """Compares two kinds of models, their seeds paired in the given order.

    Raises:
        InputError: They do not have the same number of models.
    """
    (one, first), (other, second) = kinds.items()
    if len(first) != len(second):
        raise InputError(
            f"{one} has {len(first)} models and {other} has {len(second)}; give the "
            "same number of each, since seeds are paired in order."
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
        "p: Holm-corrected over the detectors of a set",
    ]
    return Comparison(first[0].group.inside.name, (one, other), lines, notes)


def _lines(
    outside: str, values: Mapping[str, Seeds], compared: Sequence[Contrast]
) -> list[Line]:
    """Returns the detector to compare with, then the others, the best first."""
    if not compared:
        return []
    first = Line(outside, compared[0].against, (values[compared[0].against],), None)
    others = [Line(outside, c.label, (values[c.label],), c) for c in compared]
    return [first, *sorted(others, key=lambda line: -line.values[0].mean)]


def _left_out(rows: Iterable[Row], lines: Iterable[Line]) -> list[str]:
    """Returns why cells are not compared: failures, and sets with nothing to compare.

    Controls, which are left out on purpose, are not named.
    """
    shown = {line.outside for line in lines}
    failed = [
        f"{row.detector} of {row.model} on {row.outside} failed: {row.failure}"
        for row in rows
        if row.failure
    ]
    alone = [
        f"{outside} is left out: it takes scores of at least two detectors, one of "
        "them the one to compare with"
        for outside in dict.fromkeys(row.outside for row in rows)
        if outside not in shown
    ]
    return failed + alone


def _table(models: Sequence[Measured]) -> dict[Cell, FloatArray]:
    """Returns the AUROCs `[S]` of the cells that all models have; no rows apart."""
    return {
        cell: np.array(values)
        for cell, values in _areas(models).items()
        if len(values) == len(models)
    }


def _areas(models: Iterable[Measured]) -> dict[Cell, list[float]]:
    found: dict[Cell, list[float]] = {}
    for one in models:
        for row in one.rows:
            if not (row.apart or row.failure):
                cell = row.outside, row.detector
                found.setdefault(cell, []).append(row.values["auroc"])
    return found


def _seed_notes(kinds: Iterable[tuple[str, Sequence[Measured]]]) -> list[str]:
    """Returns the models of each kind, the method, and the cells that a model lacks."""
    kinds = list(kinds)
    members = [
        f"{kind}: {', '.join(one.group.model for one in models)}"
        for kind, models in kinds
    ]
    lacking = [
        f"{detector} on {outside} is left out: not all models of {kind} have scores"
        for kind, models in kinds
        for (outside, detector), values in _areas(models).items()
        if len(values) < len(models)
    ]
    return [
        *members,
        *lacking,
        "AUROC: mean ± sample deviation over models",
        "difference in AUROC, in points, with its 95 % interval: Student's t over "
        "models, paired in this order",
        *(note for _, models in kinds for one in models for note in one.group.notes),
    ]


def _family(named: str | None) -> str:
    if named is None:
        return (
            "p: Holm-corrected over all pairs of detectors of a set, since the same "
            "numbers choose the best"
        )
    return f"p: Holm-corrected over the detectors that are compared with {named}"
