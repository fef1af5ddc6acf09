"""Kinds of models: those that differ only in their seed, as mean ± deviation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from oodbench.base.errors import InputError
from oodbench.metrics import significance
from oodbench.metrics.table import METRICS
from oodbench.results.fitness import Fitness
from oodbench.results.rows import Measured, Row, Scores
from oodbench.results.selection import matching

Kinds = Mapping[str, Sequence[str]]
"""Names of models by their kind, in the order of their seeds; * stands for any text."""
DEVIATION = "_deviation"
"""Ends the names of sample deviations among values."""
OF_IMAGES = {"few", "even"}
"""Flags that are about the images of one model."""


def members(
    kinds: Kinds, measured: Iterable[Sequence[Measured]]
) -> Iterator[dict[str, list[Measured]]]:
    """Yields the models of each kind for each in-distribution set that has them all.

    Args:
        kinds: At least one.
        measured: The models of each in-distribution set.

    Raises:
        InputError: There is no such model, a kind has one twice or only one, or no
            in-distribution set has them all.
    """
    insides = [{one.group.model: one for one in together} for together in measured]
    known = dict.fromkeys(name for models in insides for name in models)
    chosen = {
        kind: [name for each in names for name in matching("model", each, known)]
        for kind, names in kinds.items()
    }
    for kind, names in chosen.items():
        if len(set(names)) < len(names):
            raise InputError(f"The kind {kind} has a model twice: {', '.join(names)}.")
        if len(names) < 2:
            raise InputError(
                f"Seeds are compared over at least two models; {kind} has only "
                f"{names[0]}."
            )
    wanted = {name for names in chosen.values() for name in names}
    whole = [models for models in insides if models.keys() >= wanted]
    if not whole:
        raise InputError(
            "No in-distribution set of these results has all of these models: "
            f"{', '.join(sorted(wanted))}."
        )
    for models in whole:
        yield {kind: [models[name] for name in chosen[kind]] for kind in chosen}


def over_models(kind: str, models: Sequence[Measured]) -> Measured:
    """Returns the numbers of a kind: means, and sample deviations as `NAME_deviation`.

    A detector and set without numbers of all models is left out, with a note.

    Args:
        kind: Its name.
        models: At least two, of one in-distribution set.
    """
    cells: dict[tuple[str, str], list[Row]] = {}
    for one in models:
        for row in one.rows:
            cells.setdefault((row.outside, row.detector), []).append(row)
    whole = [
        _mean(kind, rows)
        for rows in cells.values()
        if len(rows) == len(models) and not any(row.failure for row in rows)
    ]
    even = set(_alike(whole))
    rows = [
        replace(row, flags=(*row.flags, "even_seeds"))
        if (row.outside, row.detector) in even
        else row
        for row in whole
    ]
    shown = {(row.outside, row.detector) for row in rows}
    names = ", ".join(one.group.model for one in models)
    notes = [
        f"{kind}: mean ± sample deviation over {names}",
        *(
            f"{detector} on {outside} is left out: not all models of {kind} have scores"
            for outside, detector in cells
            if (outside, detector) not in shown
        ),
        *dict.fromkeys(note for one in models for note in one.group.notes),
    ]
    group = replace(models[0].group, model=kind, notes=notes)
    scores = [Scores(row, np.empty(0), np.empty(0)) for row in rows]
    shifted = {
        name: found
        for name in models[0].shifted
        if (found := _fitness(kind, [one.shifted.get(name) for one in models]))
    }
    fitness = _fitness(kind, [one.fitness for one in models])
    return Measured(group, scores, fitness, shifted)


def _mean(kind: str, rows: Sequence[Row]) -> Row:
    seeds = {
        name: tuple(row.values[name] for row in rows)
        for name in METRICS
        if all(name in row.values for row in rows)
    }
    flags = dict.fromkeys(flag for row in rows for flag in row.flags)
    accuracies = [row.accuracy_out for row in rows if row.accuracy_out is not None]
    return replace(
        rows[0],
        model=kind,
        accuracy_out=float(np.mean(accuracies))
        if len(accuracies) == len(rows)
        else None,
        values=_summary(seeds),
        seeds=seeds,
        flags=tuple(flag for flag in flags if flag not in OF_IMAGES),
    )


def _alike(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Yields the sets and detectors that do not differ from the best of the set."""
    sets: dict[str, dict[str, tuple[float, ...]]] = {}
    for row in rows:
        if not row.apart:
            sets.setdefault(row.outside, {})[row.detector] = row.seeds["auroc"]
    for outside, areas in sets.items():
        for contrast in significance.between_seeds(areas):
            if not contrast.is_significant:
                yield outside, contrast.label


def _fitness(kind: str, of_models: Sequence[Fitness | None]) -> Fitness | None:
    found = [one for one in of_models if one is not None]
    if len(found) < len(of_models):
        return None
    names = found[0].values
    seeds = {name: tuple(one.values[name] for one in found) for name in names}
    return replace(found[0], model=kind, values=_summary(seeds))


def _summary(seeds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns mean and deviation of each number."""
    found = {name: significance.over_seeds(each) for name, each in seeds.items()}
    return {
        **{name: each.mean for name, each in found.items()},
        **{f"{name}{DEVIATION}": each.deviation for name, each in found.items()},
    }
