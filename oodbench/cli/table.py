"""`oodbench table`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.cli.options import results_argument, split_commas
from oodbench.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from oodbench.measures import Group
    from oodbench.tables import Convention, Metric, Table

WIDE = 200
"""Columns where the output is no terminal."""


@click.command()
@results_argument
@click.option(
    "--format",
    "format_",
    type=click.Choice(["terminal", "markdown", "csv"]),
    help="[default: terminal on a terminal, else markdown]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=["auroc,fpr95"],
    show_default=True,
    metavar="NAME,…",
    help="auroc, fpr95, aupr_in, aupr_out. A CSV holds them all.",
)
@click.option(
    "--convention",
    type=click.Choice(["id", "openood"]),
    default="id",
    show_default=True,
    help="Positive class of FPR95: in-distribution images, or OOD images.",
)
@click.option(
    "--intervals/--no-intervals",
    default=None,
    help="95 % intervals beside AUROC.  [default: in Markdown]",
)
def table(
    results: Path,
    format_: str | None,
    metrics: tuple[str, ...],
    convention: Convention,
    intervals: bool | None,
) -> None:
    r"""Prints tables of what runs have stored.

    \b
    oodbench table > table.md
    oodbench table --metric fpr95 --convention openood
    oodbench table --format csv > table.csv
    """
    from oodbench import measures
    from oodbench.results import Store

    groups = measures.groups(Store(results).sets())
    if not groups:
        raise InputError(f"There are no finished results in {results}.")
    format_ = format_ or ("terminal" if sys.stdout.isatty() else "markdown")
    chosen = _metrics(metrics)
    if format_ == "csv":
        from oodbench.rendering import as_csv

        click.echo(
            as_csv([row for g in groups for row in measures.measure(g)]), nl=False
        )
    elif format_ == "markdown":
        _print_markdown(groups, chosen, convention, intervals is not False)
    else:
        print_fitness(groups)
        print_tables(groups, chosen, convention, bool(intervals))


def print_tables(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    convention: Convention = "id",
    intervals: bool = False,
) -> None:
    """Prints a table of each metric beside each in-set for the terminal."""
    from oodbench.rendering import terminal

    console = _console()
    for one in layouts(groups, metrics, convention, intervals):
        console.print(terminal(one))
        console.print()


def print_fitness(groups: Iterable[Group]) -> None:
    """Prints accuracy and calibration of each model for the terminal."""
    from oodbench import measures
    from oodbench.rendering import plain
    from oodbench.tables import layout_fitness

    found = [one for group in groups if (one := measures.fitness(group))]
    if found:
        _console().print(plain(*layout_fitness(found)))
    for one in found:
        if one.is_chance:
            click.echo(
                f"Warning: {one.model} classifies {one.inside} little better than by "
                "chance. Wrong --mean/--std or another order of classes is the usual "
                "cause; the tables mean nothing before it is mended.",
                err=True,
            )


def layouts(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    convention: Convention,
    intervals: bool,
) -> Iterator[Table]:
    """Yields the tables of some groups, one an in-set and metric."""
    from oodbench import measures
    from oodbench.tables import layout

    for _, members in groupby(groups, key=lambda group: group.inside["set"]["key"]):
        together = list(members)
        rows = [row for group in together for row in measures.measure(group)]
        same = [g.model for g in together if not g.inside["model"]["density_head"]]
        for metric in metrics if rows else ():
            yield layout(
                rows,
                metric=metric,
                convention=convention,
                intervals=intervals,
                equal_to_energy=same,
            )


def _print_markdown(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    convention: Convention,
    intervals: bool,
) -> None:
    from oodbench import measures
    from oodbench.rendering import escape_markdown, markdown, markdown_rows
    from oodbench.tables import layout_fitness

    if found := [one for group in groups if (one := measures.fitness(group))]:
        head, rows = layout_fitness(found)
        escaped = [[escape_markdown(text) for text in row] for row in rows]
        click.echo(f"{markdown_rows(head, escaped)}\n")
    for table in layouts(groups, metrics, convention, intervals):
        click.echo(markdown(table))


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def _metrics(texts: Iterable[str]) -> list[Metric]:
    from oodbench.registry import unknown
    from oodbench.tables import METRICS

    names = split_commas(texts)
    for name in names:
        if name not in METRICS:
            raise InputError(unknown("metric", name, METRICS))
    return [metric for name in names for metric in METRICS if metric == name]
