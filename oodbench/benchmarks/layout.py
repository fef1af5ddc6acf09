"""Lays the figures of a benchmark out as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from oodbench.benchmarks.figures import ERRORS, FULL, IN, Figure, Place
from oodbench.benchmarks.stored import Outcome
from oodbench.output.numbers import percent


class Listing(NamedTuple):
    """Rows under a head, for any format of tables."""

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str]


def listings(found: Outcome) -> Iterator[Listing]:
    """Yields a table of each metric; notes are below the first one.

    Those on the accuracy of the full spectrum are below the first one of it.
    """
    benchmark = found.benchmark
    notes = [*_rules(found), *found.notes()]
    for suffix in ("", FULL) if benchmark.shifted else ("",):
        notes += _accuracies(found, suffix)
        for metric in benchmark.figures:
            places = [Place(label + suffix, metric) for label in _columns(found)]
            shown = [
                one for one in places if any(one in e.figures for e in found.entries)
            ]
            if not shown:
                continue
            yield Listing(
                f"Benchmark {benchmark.name}: {benchmark.title}. In-distribution: "
                f"{benchmark.inside.label}{suffix}. {benchmark.rules.title(metric)}.",
                ["model", "detector", *(_head(found, place.set) for place in shown)],
                [
                    [entry.model, _named(entry.detector, entry.control)]
                    + [figure_text(entry.figures.get(place)) for place in shown]
                    for entry in found.entries
                ],
                notes,
            )
            notes = []


def all_figures(found: Outcome) -> tuple[list[str], list[list[object]]]:
    """Returns head and rows of every figure, in [0, 1]."""
    head = ["benchmark", "model", "detector", "set", "metric"]
    return [*head, "value", "deviation", "runs"], [
        [found.benchmark.name, entry.model, entry.detector, *place, *_parts(figure)]
        for entry in found.entries
        for place, figure in entry.figures.items()
    ]


def _columns(found: Outcome) -> list[str]:
    sets = [each.label for each in found.benchmark.sought]
    return [
        *sets,
        *found.benchmark.means,
        *([ERRORS] if found.benchmark.errors else []),
    ]


def _head(found: Outcome, place: str) -> str:
    label = place.removesuffix(FULL)  # which the title says
    return f"mean {label}" if label in found.benchmark.means else label


def _named(detector: str, control: bool) -> str:
    return f"{detector} (control)" if control else detector


def figure_text(figure: Figure | None) -> str:
    """Returns a figure and its deviation in %; a dash for None."""
    if figure is None:
        return "–"
    text = percent(figure.value)
    if figure.deviation is None:
        return text
    return f"{text} ± {percent(figure.deviation)}"


def _parts(figure: Figure) -> Sequence[object]:
    return figure.value, figure.deviation, figure.runs


def _rules(found: Outcome) -> list[str]:
    benchmark = found.benchmark
    notes = []
    if benchmark.draws > 1:
        notes.append(
            f"mean and population deviation over {benchmark.draws} draws of "
            f"{benchmark.images_per_draw:,} OOD images each, or over networks"
        )
    elif any(each.deviation for e in found.entries for each in e.figures.values()):
        notes.append("mean and population deviation over networks")
    if benchmark.validation:
        sets = ", ".join(benchmark.validation)
        notes.append(
            f"settings may be chosen on {sets}; the val split where there is one"
        )
    return [*notes, f"source: {benchmark.source}"]


def _accuracies(found: Outcome, suffix: str) -> list[str]:
    place = Place(IN + suffix, "accuracy")
    known = {each.model: each.figures.get(place) for each in found.entries}
    return [
        f"accuracy of {model}{suffix}: {figure_text(figure)} %"
        for model, figure in known.items()
        if figure
    ]
