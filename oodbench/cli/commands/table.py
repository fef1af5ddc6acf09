"""`oodbench table`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.base.errors import InputError
from oodbench.cli.options import results_argument, split_commas

if TYPE_CHECKING:
    from rich.console import Console

    from oodbench.output.tables import Convention, Metric
    from oodbench.results.rows import Group

WIDE = 200
"""Columns where the output is no terminal."""


@click.command()
@results_argument
@click.option(
    "--format",
    "format_",
    type=click.Choice(["terminal", "markdown", "latex", "html", "csv"]),
    help="[default: terminal on a terminal, else markdown]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=["auroc,fpr95"],
    show_default=True,
    metavar="NAME,…",
    help="auroc, fpr95, aupr_in, aupr_out, aurc, augrc. A CSV holds them all.",
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
    help="95 % intervals beside AUROC and FPR95.  [default: in Markdown]",
)
def table(
    results: Path,
    format_: str | None,
    metrics: tuple[str, ...],
    convention: Convention,
    intervals: bool | None,
) -> None:
    """Prints tables of what runs have stored.

    \b
    oodbench table > table.md
    oodbench table --metric fpr95 --convention openood
    oodbench table --format csv > table.csv
    """
    from oodbench.results import rows as measures
    from oodbench.results.store import Store

    groups = measures.groups(Store(results).sets())
    if not groups:
        raise InputError(f"There are no finished results in {results}.")
    format_ = format_ or ("terminal" if sys.stdout.isatty() else "markdown")
    chosen = _metrics(metrics)
    if format_ == "csv":
        from oodbench.output.formats import csv

        rows = [row for group in groups for row in measures.measure(group)]
        click.echo(csv.table(rows), nl=False)
    elif format_ == "terminal":
        print_fitness(groups)
        print_tables(groups, chosen, convention, bool(intervals))
    else:
        if intervals is None:
            intervals = format_ == "markdown"
        _print_text(format_, groups, chosen, convention, intervals)


def print_tables(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    convention: Convention = "id",
    intervals: bool = False,
) -> None:
    """Prints a table of each metric beside each in-set for the terminal."""
    from oodbench.output.formats import terminal
    from oodbench.output.tables import layouts

    console = _console()
    for one in layouts(groups, metrics, convention, intervals):
        console.print(terminal.table(one))
        console.print()


def print_fitness(groups: Iterable[Group]) -> None:
    """Prints accuracy and calibration of each model for the terminal."""
    from oodbench.base.text import printable
    from oodbench.output.formats import terminal
    from oodbench.output.tables import layout_fitness
    from oodbench.results import rows as measures

    found = [one for group in groups if (one := measures.fitness(group))]
    if found:
        _console().print(terminal.listing(*layout_fitness(found)))
    for one in found:
        if one.is_chance:
            click.echo(
                f"Warning: {printable(one.model)} classifies {printable(one.inside)} "
                "little better than by chance. Wrong --mean/--std or another order of "
                "classes is the usual cause; the tables mean nothing before it is "
                "mended.",
                err=True,
            )


def _print_text(
    format_: str,
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    convention: Convention,
    intervals: bool,
) -> None:
    from oodbench.output.tables import layout_fitness, layouts
    from oodbench.results import rows as measures

    writer = import_module(f"oodbench.output.formats.{format_}")
    if found := [one for group in groups if (one := measures.fitness(group))]:
        click.echo(writer.listing(*layout_fitness(found)))
    for table in layouts(groups, metrics, convention, intervals):
        click.echo(writer.table(table))


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def _metrics(texts: Iterable[str]) -> list[Metric]:
    from oodbench.base.registry import unknown
    from oodbench.output.tables import METRICS

    names = split_commas(texts)
    for name in names:
        if name not in METRICS:
            raise InputError(unknown("metric", name, METRICS))
    return [metric for name in names for metric in METRICS if metric == name]
