"""`oodbench table`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.cli import benchmark as protocols
from oodbench.cli import show
from oodbench.cli.gate_options import gate_options
from oodbench.cli.options import results_argument, split_commas
from oodbench.metrics.table import METRICS

if TYPE_CHECKING:
    from oodbench.output.tables import Convention
    from oodbench.results.rows import Measured


@click.command()
@results_argument
@protocols.option
@show.format_option
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=["auroc,fpr95"],
    show_default=True,
    metavar="NAME,…",
    help=f"{', '.join(METRICS)}. csv and json hold them all.",
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
    help="95 % intervals where a metric has them.  [default: in Markdown]",
)
@gate_options
@click.pass_context
def table(
    context: click.Context,
    /,
    results: Path,
    benchmark: str | None,
    format_: str | None,
    metrics: tuple[str, ...],
    convention: Convention,
    intervals: bool | None,
) -> list[Measured]:
    """Prints tables of stored results.

    \b
    oodbench table > table.md
    oodbench table --metric fpr95 --convention openood
    oodbench table --format csv > table.csv
    oodbench table --benchmark oe-mnist
    oodbench table --fail-under energy:auroc=0.9 --junit gates.xml
    """
    from oodbench.output.tables import chosen
    from oodbench.protocols.protocol import read
    from oodbench.results.opened import open_results

    if benchmark is not None:
        free = ("metrics", "convention", "intervals", "fail_under", "junit")
        protocols.check_free(context, benchmark, *free)
        protocols.print_tables(read(benchmark), open_results(results), format_)
        return []
    names, found = split_commas(metrics), open_results(results)
    chosen(names)  # a wrong name is found before anything is computed
    show.print_tables(found.measured, names, convention, intervals, format_)
    return found.measured
