"""Comparisons of detectors, or of kinds of models, as rows and as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.output.layout import by_inside
from oodbench.output.numbers import DIGITS, p_value, points, with_deviation
from oodbench.results.comparisons import (
    Comparison,
    Line,
    of_kinds,
    of_model,
    of_seeds,
)
from oodbench.results.kinds import Kinds, members
from oodbench.results.opened import Source, open_results
from oodbench.results.selection import matching

if TYPE_CHECKING:
    import pandas as pd


def compare(
    results: Source = RESULTS,
    *,
    against: str | None = None,
    kinds: Kinds | None = None,
) -> pd.DataFrame:
    """Returns which detectors, or kinds of models, differ significantly in AUROC.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        against: The detector to compare with; None for the best of each model and set.
        kinds: One or two kinds of models that differ in their seed, as
            `{"jem": ["jem-0", "jem-1"]}`, or `{"all": ["*"]}`; two are compared with
            each other, their seeds paired in order.

    Returns:
        One row per detector and set. `auroc`, `difference`, `low` and `high` (the 95 %
        interval) are shares, `p` and `holm` p-values, the latter Holm-corrected.
        `attrs["notes"]` lists the methods and what is left out.

    Raises:
        InputError: There are no such results, detector or models.
    """
    import pandas as pd

    found = comparisons(results, against, kinds)
    head, rows = all_numbers(found)
    frame = pd.DataFrame(rows, columns=head)
    frame.attrs["notes"] = list(
        dict.fromkeys(note for one in found for note in one.notes)
    )
    return frame


def comparisons(
    results: Source,
    against: str | None = None,
    kinds: Kinds | None = None,
) -> list[Comparison]:
    """Returns the comparisons of each in-distribution set, as for `compare`."""
    kinds = kinds or {}
    opened = open_results(results)
    labels = sorted({label for one in opened.groups for label in one.inside.cells})
    if against is not None:
        (against, *_) = matching("detector", against, labels)
    if len(kinds) > 2:
        raise InputError(f"Two kinds can be compared, not {len(kinds)}.")
    if len(kinds) == 2 and against is not None:
        raise InputError(
            "A detector to compare with is for one kind of models; leave it out, or "
            "give one kind."
        )
    if not kinds:
        return [of_model(one, against) for one in opened.measured]
    found = []
    for chosen in members(kinds, by_inside(opened.measured)):
        if len(chosen) == 2:
            found.append(of_kinds(chosen))
        else:
            found += [of_seeds(kind, each, against) for kind, each in chosen.items()]
    return found


def texts(one: Comparison, decimals: int = DIGITS) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of one comparison as text, in % and points."""
    of = [""] if len(one.names) == 1 else [f" of {name}" for name in one.names]
    head = ["set", "detector", *(f"AUROC{name} %" for name in of)]
    return [*head, "difference", "95 % interval", "p"], [
        _texts(line, decimals) for line in one.lines
    ]


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


def _texts(line: Line, decimals: int) -> list[str]:
    values = [with_deviation(*value, decimals) for value in line.values]
    if line.contrast is None:
        return [line.outside, line.detector, *values, "", "", ""]
    apart = line.contrast.difference
    return [
        line.outside,
        line.detector,
        *values,
        points(apart.value, decimals),
        f"{points(apart.low, decimals)} to {points(apart.high, decimals)}",
        p_value(line.contrast.corrected),
    ]
