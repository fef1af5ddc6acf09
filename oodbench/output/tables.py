"""Lays measured rows out as tables: sets in columns, detectors in rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal, NamedTuple, get_args

from oodbench.results.recalibrated import Recalibrated
from oodbench.results.rows import (
    CONTROL_SEPARATES,
    MANY_TIES,
    Fitness,
    Group,
    Row,
    cluster_notes,
    measure,
)

Metric = Literal["auroc", "fpr95", "aupr_in", "aupr_out", "aurc", "augrc"]
METRICS: tuple[Metric, ...] = get_args(Metric)
LOWER_IS_BETTER: tuple[Metric, ...] = ("fpr95", "aurc", "augrc")
Convention = Literal["id", "openood"]

ROLE_ORDER = ("near", "far", "unstated", "covariate", "probe")
MEAN_ROLES = ("near", "far")

TITLES: dict[str, str] = {
    "auroc": "AUROC in %, higher is better",
    "aupr_in": "AUPR in %, in-distribution images positive, at 50 % prevalence, "
    "higher is better",
    "aupr_out": "AUPR in %, OOD images positive, at 50 % prevalence, higher is better",
    "aurc": "AURC in %, lower is better: the risk of an accepted image to be OOD or "
    "wrongly classified, mean over coverages, images as drawn",
    "augrc": "AUGRC in %, lower is better: the share of images that are accepted and "
    "OOD or wrongly classified, mean over coverages, images as drawn",
    "fpr95-id": "FPR95 in %, lower is better: the share of OOD images accepted at the "
    "threshold that accepts 95 % of the in-distribution images",
    "fpr95-openood": "FPR95 in %, OpenOOD convention, lower is better: the share of "
    "in-distribution images rejected at the threshold that detects 95 % of the OOD "
    "images",
}
CLASSIFICATION = ("accuracy %", "NLL", "Brier", "ECE %", "adaptive ECE %")
ROW_FLAGS = ("ties", "even")
"""Flags of one detector on a set; the others are of the set."""
MARKS = {"control": "†", "overlap": "‡", "limit": "§", "ties": "¶", "even": "≈"}
FLAG_NOTES = {
    "control": "a control reaches an AUROC of "
    f"{100 * CONTROL_SEPARATES:.0f} %: pixels alone tell these images apart",
    "overlap": "shares images with the in-distribution set",
    "limit": "cut by --limit: for trying out, not for reporting",
    "ties": f"more than {100 * MANY_TIES:.0f} % of the scores are tied",
    "even": "not told apart from the model's best at 5 % (paired DeLong, Holm over all "
    "pairs of detectors)",
}
ROLE_NOTES = {
    "covariate": "in-distribution classes, shifted",
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


@dataclass(frozen=True)
class Block:
    """The rows of one model; those of the controls stand apart."""

    model: str
    detectors: list[tuple[str, list[Field]]]
    controls: list[tuple[str, list[Field]]]


@dataclass(frozen=True)
class Table:
    """A table of one metric beside one in-set, ready for any format."""

    title: str
    columns: list[Column]
    blocks: list[Block]
    notes: list[str] = field(default_factory=list)


def layout(
    rows: Sequence[Row],
    *,
    metric: Metric = "auroc",
    convention: Convention = "id",
    intervals: bool = False,
    equal_to_energy: Iterable[str] = (),
) -> Table:
    """Lays out one metric of the rows of one in-set.

    Args:
        rows: Of any models; all with the same in-set.
        metric: What to show.
        convention: Which FPR95, by the positive class: in-distribution or OOD.
        intervals: Whether to show the 95 % interval where there is one.
        equal_to_energy: Models whose log p(x) is −E(x), for a note.
    """
    key = "fpr95_openood" if (metric, convention) == ("fpr95", "openood") else metric
    lowest = metric in LOWER_IS_BETTER
    if metric != "auroc":
        rows = [_without(row, "even") for row in rows]  # AUROCs were compared
    columns = _columns(rows)
    intervals = intervals and any(f"{key}_low" in row.values for row in rows)
    models = sorted({row.model for row in rows})
    blocks = [
        _block(model, [row for row in rows if row.model == model], columns, key, lowest)
        for model in models
    ]
    if intervals:
        blocks = [_with_intervals(block, rows, columns, key) for block in blocks]
    title = TITLES[f"{metric}-{convention}" if metric == "fpr95" else metric]
    images = f"{rows[0].inside}, {rows[0].images_in} test images"
    notes = _notes(rows, columns, metric if intervals else None)
    if any(row.detector == "log_px" for row in rows) and (
        same := list(equal_to_energy)
    ):
        notes.append(
            f"log_px equals energy on {', '.join(same)}: in a conditional model "
            "log p(x) = −E(x)"
        )
    return Table(f"In-distribution: {images}. {title}.", columns, blocks, notes)


def layouts(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    convention: Convention = "id",
    intervals: bool = False,
) -> Iterator[Table]:
    """Yields the tables of some groups, one an in-set and metric."""
    for _, members in groupby(groups, key=lambda group: group.inside["set"]["key"]):
        together = list(members)
        rows = [row for group in together for row in measure(group)]
        same = [g.model for g in together if not g.inside["model"]["density_head"]]
        for metric in metrics if rows else ():
            yield layout(
                rows,
                metric=metric,
                convention=convention,
                intervals=intervals,
                equal_to_energy=same,
            )


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
    """Returns what `calibration.summary` says, as text below `CLASSIFICATION`."""
    return [
        f"{100 * values['accuracy']:.2f}",
        f"{values['nll']:.4f}",
        f"{values['brier']:.4f}",
        f"{100 * values['ece']:.2f}",
        f"{100 * values['adaptive_ece']:.2f}",
    ]


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


def _block(
    model: str, rows: list[Row], columns: list[Column], key: str, lowest: bool
) -> Block:
    labels = sorted({(row.control, row.detector) for row in rows})
    values = {
        label: [_value(rows, label, column, key) for column in columns]
        for _, label in labels
    }
    detectors = [label for control, label in labels if not control]
    best = [
        _best([values[label][index] for label in detectors], lowest)
        for index in range(len(columns))
    ]
    lines = {
        label: [
            _field(
                value,
                _find(rows, label, column),
                value is not None and value == best[index] and label in detectors,
            )
            for index, (value, column) in enumerate(
                zip(values[label], columns, strict=True)
            )
        ]
        for _, label in labels
    }
    return Block(
        model,
        [(label, lines[label]) for label in detectors],
        [(label, lines[label]) for control, label in labels if control],
    )


def _find(rows: Iterable[Row], label: str, column: Column) -> Row | None:
    for row in rows:
        if row.detector == label and row.outside == column.outside:
            return row
    return None


def _value(rows: list[Row], label: str, column: Column, key: str) -> float | None:
    if column.outside is not None:
        row = _find(rows, label, column)
        return row.values.get(key) if row else None
    values = [
        row.values.get(key)
        for row in rows
        if row.detector == label and row.role == column.role
    ]
    present = [value for value in values if value is not None]
    # A mean over fewer sets than the other rows' would not be comparable.
    return (
        sum(present) / len(values) if len(present) == len(values) and values else None
    )


def _best(values: list[float | None], lowest: bool) -> float | None:
    present = [value for value in values if value is not None]
    return (min if lowest else max)(present) if present else None


def _field(value: float | None, row: Row | None, best: bool) -> Field:
    if value is None:
        return Field("failed" if row and row.failure else "–")
    if row is not None and best:
        row = _without(row, "even")  # from itself
    marks = [MARKS[flag] for flag in ROW_FLAGS if row and flag in row.flags]
    return Field(f"{100 * value:.2f}{''.join(marks)}", best)


def _without(row: Row, flag: str) -> Row:
    return replace(row, flags=tuple(one for one in row.flags if one != flag))


def _with_intervals(
    block: Block, rows: Sequence[Row], columns: list[Column], key: str
) -> Block:
    own = [row for row in rows if row.model == block.model]

    def extend(label: str, fields: list[Field]) -> tuple[str, list[Field]]:
        pairs = zip(fields, columns, strict=True)
        return label, [
            _extended(field_, _find(own, label, column), key)
            for field_, column in pairs
        ]

    return Block(
        block.model,
        [extend(*line) for line in block.detectors],
        [extend(*line) for line in block.controls],
    )


def _extended(field_: Field, row: Row | None, key: str) -> Field:
    if row is None or not row.values:
        return field_
    low, high = (100 * row.values[f"{key}_{end}"] for end in ("low", "high"))
    return Field(f"{field_.text} [{low:.1f}, {high:.1f}]", field_.best)


def _notes(
    rows: Sequence[Row], columns: list[Column], intervals_of: Metric | None
) -> list[str]:
    notes = []
    if intervals_of is not None:
        method = "DeLong, logit scale" if intervals_of == "auroc" else "bootstrap"
        notes.append(
            f"in brackets the 95 % interval ({method}): over images, of one checkpoint"
        )
    if intervals_of is not None or any("even" in row.flags for row in rows):
        notes += cluster_notes(rows)
    roles = {column.role for column in columns}
    notes += [f"{role}: {text}" for role, text in ROLE_NOTES.items() if role in roles]
    raised = {flag for row in rows for flag in row.flags}
    notes += [f"{MARKS[flag]} {FLAG_NOTES[flag]}" for flag in MARKS if flag in raised]
    if any(row.control for row in rows):
        notes.append("controls see pixels alone, never the network")
    return notes + sorted(
        {
            f"{row.detector} of {row.model} on {row.outside} failed: {row.failure}"
            for row in rows
            if row.failure
        }
    )
