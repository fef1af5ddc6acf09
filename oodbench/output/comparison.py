"""Comparisons of detectors, or of kinds of models, as rows and as a DataFrame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.metrics.significance import Seeds
from oodbench.output.layout import by_inside
from oodbench.output.numbers import p_value, percent, points
from oodbench.results.comparisons import (
    Comparison,
    Line,
    of_kinds,
    of_model,
    of_seeds,
)
from oodbench.results.opened import Source, open_results
from oodbench.results.rows import Measured

if TYPE_CHECKING:
    import pandas as pd

Kinds = Mapping[str, Sequence[str]]
"""Names of models by their kind, in the order of their seeds."""


def compare(
    results: Source,
    *,
    against: str | None = None,
    over_seeds: bool = False,
    kinds: Kinds | None = None,
) -> pd.DataFrame:
    """Returns which detectors, or kinds of models, differ significantly in AUROC.

    Args:
        results: The folder, or what `run` returned.
        against: The detector to compare with; None for the best of each model and set.
        over_seeds: Whether all models are of one kind and differ only in their seed.
        kinds: One or two kinds of models, as `{"jem": ["jem-0", "jem-1"]}`; two are
            compared with each other, their seeds paired in order.

    Returns:
        One row per detector and set. `auroc`, `difference`, `low` and `high` (the 95 %
        interval) are shares, `p` and `holm` p-values, the latter Holm-corrected.
        `attrs["notes"]` lists the methods and what is left out.

    Raises:
        InputError: There are no such results, detector or models.
    """
    import pandas as pd

    found = comparisons(results, against, over_seeds, kinds or {})
    head, rows = all_numbers(found)
    frame = pd.DataFrame(rows, columns=head)
    frame.attrs["notes"] = list(
        dict.fromkeys(note for one in found for note in one.notes)
    )
    return frame


def comparisons(
    results: Source,
    against: str | None = None,
    over_seeds: bool = False,
    kinds: Kinds | None = None,
) -> list[Comparison]:
    """Returns the comparisons of each in-set; arguments as those of `compare`."""
    kinds = kinds or {}
    opened = open_results(results)
    labels = sorted({label for one in opened.groups for label in one.inside.cells})
    if against is not None and against not in labels:
        raise InputError(unknown("detector in these results", against, labels))
    if len(kinds) > 2:
        raise InputError(f"Two kinds can be compared, not {len(kinds)}.")
    if len(kinds) == 2 and against is not None:
        raise InputError(
            "A detector to compare with is for one kind of models; leave it out, or "
            "give one kind."
        )
    found = []
    for together in by_inside(opened.measured):
        if kinds or over_seeds:
            found += _over_seeds(together, kinds, against)
        else:
            found += [of_model(one, against) for one in together]
    if not found:
        names = ", ".join(name for members in kinds.values() for name in members)
        raise InputError(
            f"No in-distribution set in {opened.results} has all of these models: "
            f"{names}."
        )
    return found


def _over_seeds(
    measured: Sequence[Measured], kinds: Kinds, against: str | None
) -> list[Comparison]:
    models = {one.group.model: one for one in measured}
    if not kinds:
        return [of_seeds("all models", measured, against)]
    if any(model not in models for members in kinds.values() for model in members):
        return []
    chosen = {k: [models[model] for model in members] for k, members in kinds.items()}
    if len(chosen) == 1:
        return [of_seeds(kind, members, against) for kind, members in chosen.items()]
    return [of_kinds(chosen)]


def texts(one: Comparison) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of one comparison as text, in % and points."""
    of = [""] if len(one.names) == 1 else [f" of {name}" for name in one.names]
    head = ["set", "detector", *(f"AUROC{name} %" for name in of)]
    return [*head, "difference", "95 % interval", "p"], list(map(_texts, one.lines))


def all_numbers(
    found: Iterable[Comparison],
) -> tuple[list[str], list[list[object]]]:
    """Returns head and rows of every number of some comparisons, as they are."""
    head = "inside model outside detector auroc deviation other_auroc other_deviation"
    rest = ["against", "difference", "low", "high", "p", "holm"]
    rows = []
    for one in found:
        for line in one.lines:
            numbers: list[object] = [n for value in line.values for n in value]
            row = [one.inside, one.names[0], line.outside, line.detector, *numbers]
            row += [None] * (8 - len(row))
            if line.contrast is not None:
                row += [
                    line.contrast.against,
                    *line.contrast.difference,
                    line.contrast.corrected,
                ]
            rows.append(row + [None] * (14 - len(row)))
    return [*head.split(), *rest], rows


def _texts(line: Line) -> list[str]:
    values = [_with_deviation(value) for value in line.values]
    if line.contrast is None:
        return [line.outside, line.detector, *values, "", "", ""]
    apart = line.contrast.difference
    return [
        line.outside,
        line.detector,
        *values,
        points(apart.value),
        f"{points(apart.low)} to {points(apart.high)}",
        p_value(line.contrast.corrected),
    ]


def _with_deviation(value: Seeds) -> str:
    mean = percent(value.mean)
    if math.isnan(value.deviation):
        return mean
    return f"{mean} ± {percent(value.deviation)}"
