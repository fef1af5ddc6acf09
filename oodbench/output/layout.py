"""Lays measured rows out as tables: sets in columns, detectors in rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from oodbench.base.text import short_name
from oodbench.metrics.intervals import FEW_IMAGES
from oodbench.metrics.table import METRICS
from oodbench.output.numbers import interval, percent
from oodbench.results import clusters
from oodbench.results.fitness import Fitness, lack
from oodbench.results.groups import Group
from oodbench.results.recalibrated import Recalibrated
from oodbench.results.rows import CONTROL_SEPARATES, MANY_TIES, Measured, Row

ROLE_ORDER = ("near", "far", "unstated", "covariate", "probe")
MEAN_ROLES = ("near", "far")

CLASSIFICATION = ("accuracy %", "NLL", "Brier", "ECE %", "adaptive ECE %")
ROW_FLAGS = ("ties", "few", "even")
"""Flags of one detector on a set; the other flags belong to the set."""
AUROC_FLAGS = ("few", "even")
"""Flags that are about the AUROC only."""
MARKS = {
    "control": "†",
    "overlap": "‡",
    "limit": "§",
    "ties": "¶",
    "few": "◊",
    "even": "≈",
}
FLAG_NOTES = {
    "control": "a control reaches an AUROC of "
    f"{100 * CONTROL_SEPARATES:.0f} %: pixels alone separate these images from the "
    "in-distribution set",
    "overlap": "shares images with the in-distribution set",
    "limit": "cut by --limit: for trying out, not for reporting",
    "ties": f"more than {100 * MANY_TIES:.0f} % of the scores are tied",
    "few": f"fewer than {FEW_IMAGES} images or origins decide this AUROC: another "
    "sample may give quite another one",
    "even": "not significantly different from the model's best detector (paired "
    "DeLong test, Holm-corrected, 5 %)",
}
ROLE_NOTES = {
    "covariate": "classes of the in-distribution set, shifted",
    "probe": "not OOD by meaning",
    "unstated": "role not given; write near=SET or far=SET",
}


class Field(NamedTuple):
    """One number as a table shows it."""

    text: str
    best: bool = False


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
    """The rows of one model, the controls in a list of their own."""

    model: str
    detectors: list[tuple[str, list[Field]]]
    controls: list[tuple[str, list[Field]]]


@dataclass(frozen=True)
class Table:
    """A table of one metric and one in-set, ready for any format."""

    title: str
    columns: list[Column]
    blocks: list[Block]
    notes: list[str] = field(default_factory=list)


def layout(
    rows: Sequence[Row],
    *,
    metric: str = "auroc",
    intervals: bool = False,
    equal_to_energy: Iterable[str] = (),
) -> Table:
    """Returns the table of one metric of the rows of one in-set.

    Args:
        rows: Of any models; all with the same in-set.
        metric: A name of `METRICS`.
        intervals: Whether to show the 95 % intervals where there are any.
        equal_to_energy: Models whose log p(x) is −E(x), for a note.
    """
    columns = _columns(rows)
    intervals = intervals and any(f"{metric}_low" in row.values for row in rows)
    models: dict[str, list[Row]] = {}
    for row in rows:
        models.setdefault(row.model, []).append(row)
    blocks = [
        _Model(own, columns, metric, intervals).block(name)
        for name, own in sorted(models.items())
    ]
    notes = _notes(rows, columns, metric, intervals)
    if any(row.detector == "log_px" for row in rows) and (
        same := list(equal_to_energy)
    ):
        notes.append(
            f"log_px equals energy on {', '.join(same)}: in a conditional model "
            "log p(x) = −E(x)"
        )
    images = f"{rows[0].inside}, {rows[0].images_in} test images"
    title = f"In-distribution: {images}. {METRICS[metric].title}."
    return Table(title, columns, blocks, notes)


def layouts(
    measured: Iterable[Measured], metrics: Sequence[str], intervals: bool = False
) -> Iterator[Table]:
    """Yields the tables of some groups, one per in-set and metric.

    The first table of each in-set names what is left out, with the reasons.

    Args:
        measured: Groups of one in-set one after another.
        metrics: Names of `METRICS`.
        intervals: Whether to show the 95 % intervals where there are any.
    """
    for together in by_inside(measured):
        groups = [one.group for one in together]
        rows = [row for one in together for row in one.rows]
        left_out = [note for group in groups for note in _left_out(group.model, group)]
        same = [
            group.model
            for group in groups
            if group.inside.record["model"]["density_head"] is False
        ]
        for metric in metrics if rows else ():
            table = layout(
                rows, metric=metric, intervals=intervals, equal_to_energy=same
            )
            table.notes.extend(left_out)
            yield table
            left_out = []


def by_inside(measured: Iterable[Measured]) -> Iterator[list[Measured]]:
    """Yields the groups of each in-set together."""
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


def layout_fitness(found: Sequence[Fitness]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table of accuracies and calibration."""
    head = ["model", "in", "images", *CLASSIFICATION]
    rows = [
        [
            one.model + (" (near chance!)" if one.is_chance else ""),
            one.inside,
            str(one.images),
            *classification(one.values),
        ]
        for one in found
    ]
    return head, rows


def layout_recalibrated(
    found: Sequence[Recalibrated],
) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table of what temperature scaling changes."""
    head = ["model", "scaling", "T", *CLASSIFICATION]
    rows = [
        [one.model["name"], when, f"{t:#.4g}", *classification(graded.values)]
        for one in found
        for when, t, graded in (
            ("before", 1.0, one.before),
            ("after", one.temperature, one.after),
        )
    ]
    return head, rows


def classification(values: Mapping[str, float]) -> list[str]:
    """Returns the numbers of `calibration.summary` as text below `CLASSIFICATION`."""
    shown = {
        "accuracy": percent,
        "nll": "{:.4f}".format,
        "brier": "{:.4f}".format,
        "ece": percent,
        "adaptive_ece": percent,
    }
    return [
        text(values[name]) if name in values else "–" for name, text in shown.items()
    ]


class _Model:
    """The rows of one model, found by detector and set."""

    def __init__(
        self, rows: Sequence[Row], columns: Sequence[Column], metric: str, ends: bool
    ) -> None:
        self._rows = {(row.detector, row.outside): row for row in rows}
        self._sets: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            self._sets.setdefault((row.detector, row.role), []).append(row)
        self._columns, self._metric, self._ends = columns, metric, ends

    def block(self, name: str) -> Block:
        detectors = sorted({row.detector for row in self._rows.values()})
        controls = {row.detector for row in self._rows.values() if row.control}
        values = {
            (label, column): self._value(label, column)
            for label in detectors
            for column in self._columns
        }
        best = {
            column: self._best(
                values[label, column] for label in detectors if label not in controls
            )
            for column in self._columns
        }

        def line(label: str) -> tuple[str, list[Field]]:
            top = {} if label in controls else best
            return label, [
                self._field(label, column, values[label, column], top.get(column))
                for column in self._columns
            ]

        return Block(
            name,
            [line(label) for label in detectors if label not in controls],
            [line(label) for label in detectors if label in controls],
        )

    def _value(self, label: str, column: Column) -> float | None:
        if column.outside is not None:
            row = self._rows.get((label, column.outside))
            return row.values.get(self._metric) if row else None
        rows = self._sets.get((label, column.role), [])
        found = [row.values.get(self._metric) for row in rows]
        values = [value for value in found if value is not None]
        # A mean over fewer sets than the other rows' would not be comparable.
        return (
            sum(values) / len(values) if values and len(values) == len(rows) else None
        )

    def _best(self, values: Iterable[float | None]) -> float | None:
        best = max if METRICS[self._metric].higher_is_better else min
        return best((value for value in values if value is not None), default=None)

    def _field(
        self, label: str, column: Column, value: float | None, top: float | None
    ) -> Field:
        row = self._rows.get((label, column.outside or ""))
        if value is None:
            return Field("failed" if row and row.failure else "–")
        text, best = percent(value), value == top
        if row is not None:
            hidden = set(AUROC_FLAGS) if self._metric != "auroc" else set()
            if best:
                hidden.add("even")  # it is not compared with itself
            flags = [flag for flag in row.flags if flag not in hidden]
            text += "".join(MARKS[flag] for flag in ROW_FLAGS if flag in flags)
            if self._ends:
                ends = (row.values[f"{self._metric}_{end}"] for end in ("low", "high"))
                text += f" {interval(*ends)}"
        return Field(text, best)


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


def _left_out(model: str, group: Group) -> list[str]:
    notes = [f"{model} has no accuracy: {why}"] if (why := lack(group)) else []
    return notes + group.notes


def _notes(
    rows: Sequence[Row], columns: list[Column], metric: str, intervals: bool
) -> list[str]:
    notes = []
    if intervals:
        method = METRICS[metric].method
        named = f" ({method})" if method else ""
        notes.append(
            f"in brackets the 95 % interval{named}, over images, for one checkpoint"
        )
    flags = {flag for row in rows for flag in row.flags}
    if metric != "auroc":
        flags -= set(AUROC_FLAGS)
    if intervals or "even" in flags:
        notes += clusters.notes({row.outside: row.clusters_out for row in rows})
    roles = {column.role for column in columns}
    notes += [f"{role}: {text}" for role, text in ROLE_NOTES.items() if role in roles]
    notes += [f"{MARKS[flag]} {FLAG_NOTES[flag]}" for flag in MARKS if flag in flags]
    if any(row.control for row in rows):
        notes.append("controls see only pixels, never the network")
    return notes + sorted(
        {
            f"{row.detector} of {row.model} on {row.outside} failed: {row.failure}"
            for row in rows
            if row.failure
        }
    )
