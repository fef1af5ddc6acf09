"""Tables of stored results as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from oodbench.base.defaults import RESULTS
from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.metrics.table import METRICS
from oodbench.output import formats
from oodbench.output.classification import layout_fitness
from oodbench.output.layout import Table, by_inside, layouts, transposed
from oodbench.output.numbers import DIGITS
from oodbench.results.kinds import Kinds, members, over_models
from oodbench.results.opened import Source, open_results
from oodbench.results.rows import Measured, Row

Convention = Literal["id", "openood"]
ACCURACY = "Accuracy and calibration."
SHIFTED = "Accuracy and calibration on covariate-shifted sets."
"""The words above the tables of accuracies."""
SHOWN = ("auroc", "fpr95")
"""The metrics that tables show by default."""


@dataclass(frozen=True)
class Look:
    """What tables show, and how."""

    metrics: Iterable[str] = SHOWN
    convention: Convention = "id"
    intervals: bool | None = None
    decimals: int = DIGITS
    transposed: bool = False
    wide: bool = False
    kinds: Kinds | None = None

    def tables(self, measured: Iterable[Measured], format: str) -> Iterator[Table]:
        """Yields the tables for reading, one per in-distribution set and metric."""
        names = chosen(self.metrics, self.convention)
        shows = self.intervals
        if shows is None:
            shows = format == "markdown" and not any("/" in name for name in names)
        for one in layouts(measured, names, shows, self.decimals):
            yield replace(transposed(one) if self.transposed else one, wide=self.wide)


def table(
    results: Source = RESULTS,
    *,
    metrics: Iterable[str] = SHOWN,
    format: str = "markdown",
    convention: Convention = "id",
    intervals: bool | None = None,
    decimals: int = DIGITS,
    transposed: bool = False,
    wide: bool = False,
    kinds: Kinds | None = None,
) -> str:
    """Returns tables of stored results as text.

    The accuracies come first, then a table per in-distribution set and metric.

    Covariate-shifted sets have a table of accuracies of their own.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        metrics: Names such as auroc, fpr95, aupr_in, aupr_out, aurc, augrc;
            `auroc/fpr95` shows both in one cell. csv and json hold all of them.
        format: markdown, latex, html, terminal, csv or json.
        convention: The positive class of FPR95: in-distribution or OOD images.
        intervals: Whether to show 95 % intervals; None for in Markdown only, where
            cells have one number.
        decimals: Digits behind the point of numbers in %.
        transposed: Whether sets are in rows and detectors in columns.
        wide: Whether a terminal and LaTeX show a table whole where there is no room
            for all columns, instead of blocks of columns.
        kinds: Kinds of models that differ in their seed, as
            `{"jem": ["jem-0", "jem-1"]}` or `{"jem": ["jem-*"]}`, to show means ±
            sample deviations instead of each model.

    Raises:
        InputError: An unknown metric or format, or there are no finished results.
    """
    look = Look(metrics, convention, intervals, decimals, transposed, wide, kinds)
    parts = documents(open_results(results).measured, look, format)
    return "\n".join(map(formats.as_text, parts))


def documents(
    measured: Sequence[Measured], look: Look, format: str = "markdown"
) -> Iterator[Any]:
    """Yields the parts of `table`: text, or what a rich console prints."""
    writer = formats.load(format)
    if look.kinds:
        measured = [
            over_models(kind, models)
            for chosen in members(look.kinds, by_inside(measured))
            for kind, models in chosen.items()
        ]
    if not formats.is_for_reading(writer):
        yield writer.listing(*all_numbers(measured))
        return
    if fit := [one.fitness for one in measured if one.fitness is not None]:
        yield writer.listing(*layout_fitness(fit, look.decimals), ACCURACY)
    if shifted := [each for one in measured for each in one.shifted.values()]:
        head_and_rows = layout_fitness(shifted, look.decimals, kind="set")
        yield writer.listing(*head_and_rows, SHIFTED)
    yield from map(writer.table, look.tables(measured, format))


def all_numbers(measured: Iterable[Measured]) -> tuple[list[str], list[list[object]]]:
    """Returns head and rows of every number, one row per detector and pair of sets."""
    rows = [row for one in measured for row in one.rows]
    names = sorted({name for row in rows for name in row.values})
    known = [
        field.name for field in fields(Row) if field.name not in ("values", "seeds")
    ]
    return [*known, *names], [
        [
            *(_plain(getattr(row, name)) for name in known),
            *(row.values.get(name) for name in names),
        ]
        for row in rows
    ]


def chosen(metrics: Iterable[str], convention: Convention = "id") -> list[str]:
    """Returns the names of metrics in lower case, FPR95 by the given convention.

    Raises:
        InputError: There is no such metric.
    """
    lower = [name.lower() for name in metrics]
    for name in "/".join(lower).split("/") if lower else ():
        if name not in METRICS:
            raise InputError(unknown("metric", name, METRICS))
    other = f"fpr95_{convention}"
    if other not in METRICS:
        return lower
    return [
        "/".join(other if one == "fpr95" else one for one in name.split("/"))
        for name in lower
    ]


def _plain(value: object) -> object:
    return " ".join(value) if isinstance(value, tuple) else value
