"""Lays measured rows out as tables: sets in columns, detectors in rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np

from oodbench.base.text import short_name
from oodbench.metrics.significance import Seeds, over_seeds
from oodbench.metrics.table import METRICS
from oodbench.output.notes import AUROC_FLAGS, MARKS, ROW_FLAGS, left_out, notes_of
from oodbench.output.numbers import DIGITS, interval, with_deviation
from oodbench.results.rows import Measured, Row

ROLE_ORDER = ("near", "far", "unstated", "covariate", "probe")
MEAN_ROLES = ("near", "far")


class Field(NamedTuple):
    """One number as a table shows it."""

    text: str
    best: bool = False


FAILED, ABSENT = Field("failed"), Field("–")
EMPTY = {FAILED, ABSENT}
Cell = tuple[Field, ...]
"""The numbers that stand together: one for each metric of the table."""
BETWEEN = " / "
"""Between the numbers of a cell."""


class Column(NamedTuple):
    """The head of a column: a set with its role, or the mean over a role's sets."""

    role: str
    label: str
    outside: str | None
    """The set's full name; None for a mean."""
    marks: str = ""


class Span(NamedTuple):
    """Neighbouring columns under one word."""

    name: str
    labels: list[str]


class Block(NamedTuple):
    """The rows of one model; those in `apart` are not ranked."""

    model: str
    detectors: list[tuple[str, list[Cell]]]
    apart: list[tuple[str, list[Cell]]]
    controls: frozenset[str] = frozenset()
    """Detectors that are controls."""

    def title(self, detector: str) -> str:
        """Returns a detector's name as a reader sees it."""
        return detector + " (control)" * (detector in self.controls)

    def fields(self) -> Iterator[Field]:
        """Yields every number with its marks."""
        for _, cells in (*self.detectors, *self.apart):
            yield from chain.from_iterable(cells)


@dataclass(frozen=True)
class Table:
    """A table of one in-distribution set, ready for any format."""

    title: str
    columns: list[Column]
    blocks: list[Block]
    notes: list[str] = field(default_factory=list)
    stub: str = "detector"
    """What the rows are."""
    name: str = ""
    """What distinguishes it from the other tables of the same results."""
    wide: bool = False
    """Whether it stays whole where there is no room for all columns."""


def layout(
    rows: Sequence[Row],
    *,
    metric: str = "auroc",
    intervals: bool = False,
    equal_to_energy: Iterable[str] = (),
    decimals: int = DIGITS,
) -> Table:
    """Returns the table of one metric, or of several in one cell.

    Args:
        rows: Of any models; all with the same in-distribution set.
        metric: A name of `METRICS`, or several with a slash between them.
        intervals: Whether to show the 95 % intervals where there are any.
        equal_to_energy: Models whose log p(x) is −E(x), for a note.
        decimals: Digits behind the point.
    """
    metrics = metric.split("/")
    columns = _columns(rows)
    intervals = intervals and any(
        f"{name}_low" in row.values for row in rows for name in metrics
    )
    models: dict[str, list[Row]] = {}
    for row in rows:
        models.setdefault(row.model, []).append(row)
    blocks = [
        _block(
            name,
            [_Model(own, columns, each, intervals, decimals) for each in metrics],
            columns,
        )
        for name, own in sorted(models.items())
    ]
    notes = notes_of(rows, metrics, intervals=intervals)
    even = MARKS["even"]
    if not any(even in one.text for block in blocks for one in block.fields()):
        notes = [note for note in notes if not note.startswith(even)]
    if any(row.detector == "log_px" for row in rows) and (
        same := list(equal_to_energy)
    ):
        notes.append(
            f"log_px equals energy on {', '.join(same)}: in a conditional model "
            "log p(x) = −E(x)"
        )
    images = f"{rows[0].inside}, {rows[0].images_in} test images"
    title = f"In-distribution: {images}. {_title(metrics)}."
    name = f"{metric} {rows[0].inside}"
    return Table(title, columns, blocks, notes, name=name)


def transposed(table: Table) -> Table:
    """Returns a table with sets in rows and detectors in columns."""
    lines = {
        (block.model, label): cells
        for block in table.blocks
        for label, cells in (*block.detectors, *block.apart)
    }
    columns = dict.fromkeys(
        Column(kind, block.title(label), label)
        for kind in ("detectors", "apart")
        for block in table.blocks
        for label, _ in getattr(block, kind)
    )
    lacking: list[Cell] = [(ABSENT,)] * len(table.columns)
    blocks = [
        Block(
            block.model,
            [
                (
                    f"{one.role}: {one.label}{one.marks}",
                    [
                        lines.get((block.model, str(column.outside)), lacking)[index]
                        for column in columns
                    ],
                )
                for index, one in enumerate(table.columns)
            ],
            [],
        )
        for block in table.blocks
    ]
    return replace(table, columns=list(columns), blocks=blocks, stub="set")


def layouts(
    measured: Iterable[Measured],
    metrics: Sequence[str],
    intervals: bool = False,
    decimals: int = DIGITS,
) -> Iterator[Table]:
    """Yields the tables of some groups, one per in-distribution set and metric.

    The first table of each in-distribution set names what is left out, with reasons.

    Args:
        measured: Groups of one in-distribution set one after another.
        metrics: Names as those of `layout`.
        intervals: Whether to show the 95 % intervals where there are any.
        decimals: Digits behind the point.
    """
    for together in by_inside(measured):
        groups = [one.group for one in together]
        rows = [row for one in together for row in one.rows]
        lacks = [note for group in groups for note in left_out(group.model, group)]
        same = [
            group.model
            for group in groups
            if group.inside.record["model"]["density_head"] is False
        ]
        for metric in metrics if rows else ():
            table = layout(
                rows,
                metric=metric,
                intervals=intervals,
                equal_to_energy=same,
                decimals=decimals,
            )
            table.notes.extend(lacks)
            yield table
            lacks = []


def by_inside(measured: Iterable[Measured]) -> Iterator[list[Measured]]:
    """Yields the groups of each in-distribution set together."""
    for _, members in groupby(
        measured, key=lambda one: one.group.inside.record["set"]["key"]
    ):
        yield list(members)


def spans(columns: Sequence[Column]) -> list[Span]:
    """Returns the upper line of a table's head: roles over sets, "mean" over means."""
    return [
        Span(name, [_label(column) for column in members])
        for name, members in groupby(
            columns, key=lambda one: one.label if one.outside is None else one.role
        )
    ]


def _block(name: str, metrics: Sequence[_Model], columns: Sequence[Column]) -> Block:
    """Returns the rows of one model, with the fields of each metric side by side."""

    def lines(labels: Iterable[str]) -> list[tuple[str, list[Cell]]]:
        return [
            (label, [_cell(label, column, metrics) for column in columns])
            for label in labels
        ]

    first = metrics[0]
    return Block(name, lines(first.detectors), lines(first.apart), first.controls)


def _cell(label: str, column: Column, metrics: Sequence[_Model]) -> Cell:
    """Returns the fields of all metrics; only one where no metric has a number."""
    fields = [each.field(label, column) for each in metrics]
    return tuple(dict.fromkeys(fields) if set(fields) <= EMPTY else fields)


class _Model:
    """One metric of one model, found by detector and set."""

    def __init__(
        self,
        rows: Sequence[Row],
        columns: Iterable[Column],
        metric: str,
        ends: bool,
        decimals: int,
    ) -> None:
        self._rows = {(row.detector, row.outside): row for row in rows}
        self._sets: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            self._sets.setdefault((row.detector, row.role), []).append(row)
        self._metric, self._ends, self._decimals = metric, ends, decimals
        labels = sorted({row.detector for row in rows})
        apart = {row.detector for row in rows if row.apart}
        self.detectors = [label for label in labels if label not in apart]
        self.apart = [label for label in labels if label in apart]
        self.controls = frozenset(row.detector for row in rows if row.control)
        self._found = {
            (label, column): self._find(label, column)
            for label in labels
            for column in columns
        }
        self._best = {column: self._best_in(column) for column in columns}

    def field(self, label: str, column: Column) -> Field:
        """Returns what one detector's place in one column shows."""
        row = self._rows.get((label, column.outside or ""))
        found = self._found[label, column]
        if found is None:
            return FAILED if row and row.failure else ABSENT
        best = label in self.detectors and found.mean == self._best[column]
        text = with_deviation(*found, self._decimals)
        if row is not None:
            hidden = set(AUROC_FLAGS) if self._metric != "auroc" else set()
            if best:
                hidden |= {"even", "even_seeds"}  # it is not compared with itself
            flags = [flag for flag in row.flags if flag not in hidden]
            text += "".join(MARKS[flag] for flag in ROW_FLAGS if flag in flags)
            if self._ends and f"{self._metric}_low" in row.values:
                low, high = (row.values[f"{self._metric}_{e}"] for e in ("low", "high"))
                text += f" {interval(low, high, self._decimals)}"
        return Field(text, best)

    def _find(self, label: str, column: Column) -> Seeds | None:
        """Returns the number of one place, with its deviation over models."""
        if column.outside is None:
            rows = self._sets.get((label, column.role), [])
        else:
            row = self._rows.get((label, column.outside))
            rows = [] if row is None else [row]
        values = [
            row.seeds.get(self._metric, (row.values[self._metric],))
            for row in rows
            if self._metric in row.values
        ]
        # A mean over fewer sets than the other rows' would not be comparable.
        if not values or len(values) < len(rows):
            return None
        return over_seeds(np.mean(values, axis=0))

    def _best_in(self, column: Column) -> float | None:
        best = max if METRICS[self._metric].higher_is_better else min
        found = (self._found[label, column] for label in self.detectors)
        return best((one.mean for one in found if one is not None), default=None)


def _title(metrics: Sequence[str]) -> str:
    if len(metrics) == 1:
        return METRICS[metrics[0]].title
    shown = [METRICS[name] for name in metrics]
    abouts = "".join(f"; {each.label}: {each.about}" for each in shown if each.about)
    return f"{BETWEEN.join(each.heading for each in shown)} in %{abouts}"


def _columns(rows: Sequence[Row]) -> list[Column]:
    flags: dict[tuple[int, str], set[str]] = {}
    for row in rows:
        place = flags.setdefault((ROLE_ORDER.index(row.role), row.outside), set())
        place.update(flag for flag in row.flags if flag not in ROW_FLAGS)
    sets = [
        Column(
            role=ROLE_ORDER[order],
            label=outside.removesuffix(f":{rows[0].inside}"),
            outside=outside,
            marks="".join(mark for flag, mark in MARKS.items() if flag in raised),
        )
        for (order, outside), raised in sorted(flags.items())
    ]
    means = [
        Column(role, "mean", None)
        for role in MEAN_ROLES
        if any(column.role == role for column in sets)
    ]
    graded = [column for column in sets if column.role in MEAN_ROLES]
    return graded + means + [column for column in sets if column not in graded]


def _label(column: Column) -> str:
    if column.outside is None:
        return column.role
    return short_name(column.label) + column.marks
