"""Tables of stored results as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Literal

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.metrics.table import METRICS
from oodbench.output import formats
from oodbench.output.layout import layout_fitness, layouts
from oodbench.results.opened import Source, open_results
from oodbench.results.rows import Measured, Row

Convention = Literal["id", "openood"]
SHOWN = ("auroc", "fpr95")
"""The metrics that tables show by default."""


def table(
    results: Source,
    *,
    metrics: Iterable[str] = SHOWN,
    format: str = "markdown",
    convention: Convention = "id",
    intervals: bool | None = None,
) -> str:
    """Returns tables of stored results: accuracies, then one per in-set and metric.

    Args:
        results: The folder, or what `run` returned.
        metrics: Names such as auroc, fpr95, aupr_in, aupr_out, aurc, augrc. csv and
            json hold all of them.
        format: markdown, latex, html, terminal, csv or json.
        convention: The positive class of FPR95: in-distribution or OOD images.
        intervals: Whether to show 95 % intervals; None for in Markdown only.

    Raises:
        InputError: An unknown metric or format, or there are no finished results.
    """
    found = open_results(results)
    parts = documents(found.measured, metrics, format, convention, intervals)
    return "\n".join(map(formats.as_text, parts))


def documents(
    measured: Sequence[Measured],
    metrics: Iterable[str] = SHOWN,
    format: str = "markdown",
    convention: Convention = "id",
    intervals: bool | None = None,
) -> Iterator[Any]:
    """Yields the parts of `table`: text, or what a rich console prints."""
    names = chosen(metrics, convention)
    writer = formats.load(format)
    if not formats.is_for_reading(writer):
        yield writer.listing(*all_numbers(measured))
        return
    if fit := [one.fitness for one in measured if one.fitness is not None]:
        yield writer.listing(*layout_fitness(fit))
    shows = format == "markdown" if intervals is None else intervals
    for one in layouts(measured, names, shows):
        yield writer.table(one)


def all_numbers(measured: Iterable[Measured]) -> tuple[list[str], list[list[object]]]:
    """Returns head and rows of every number, one row per detector and pair of sets."""
    rows = [row for one in measured for row in one.rows]
    names = sorted({name for row in rows for name in row.values})
    known = [field.name for field in fields(Row) if field.name != "values"]
    return [*known, *names], [
        [
            *(_plain(getattr(row, name)) for name in known),
            *(row.values.get(name) for name in names),
        ]
        for row in rows
    ]


def chosen(metrics: Iterable[str], convention: Convention = "id") -> list[str]:
    """Returns the names of metrics, FPR95 by the given convention.

    Raises:
        InputError: There is no such metric.
    """
    names = list(metrics)
    for name in names:
        if name not in METRICS:
            raise InputError(unknown("metric", name, METRICS))
    other = f"fpr95_{convention}"
    return [other if name == "fpr95" and other in METRICS else name for name in names]


def _plain(value: object) -> object:
    return " ".join(value) if isinstance(value, tuple) else value
