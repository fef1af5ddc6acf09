"""`oodbench table`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oodbench.cli import benchmark_options, show
from oodbench.cli.gate_options import gate_options
from oodbench.cli.options import (
    comma_list,
    decimals_option,
    kinds_option,
    selection_options,
)
from oodbench.metrics.table import METRICS

if TYPE_CHECKING:
    from oodbench.results.opened import Results
    from oodbench.results.rows import Measured


@click.command()
@benchmark_options.table_option
@selection_options
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    callback=comma_list,
    default=["auroc,fpr95"],
    show_default=True,
    metavar="NAME,…",
    help=f"{', '.join(METRICS)}; auroc/fpr95 shows both in one cell. csv and json hold "
    "them all.",
)
@click.option(
    "--convention",
    type=click.Choice(["id", "openood"], case_sensitive=False),
    default="id",
    show_default=True,
    help="Positive class of FPR95: in-distribution images, or OOD images.",
)
@click.option(
    "--intervals/--no-intervals",
    default=None,
    help="95 % intervals where a metric has them.  [default: in Markdown, where a cell "
    "shows one number]",
)
@decimals_option
@kinds_option
@click.option("--transposed", is_flag=True, help="Sets in rows, detectors in columns.")
@click.option(
    "--wide",
    is_flag=True,
    help="Keep a wide table whole; else a terminal and LaTeX split it into blocks of "
    "columns.",
)
@show.output_options
@gate_options
def table(
    found: Results,
    output: show.Output,
    benchmark: str | None,
    **look: Any,
) -> list[Measured]:
    """Prints tables of stored results.

    \b
    oodbench table > table.md
    oodbench table --metric fpr95 --convention openood
    oodbench table --metric auroc/fpr95 --role near,far --decimals 1 --to table.tex
    oodbench table --benchmark oe-mnist
    oodbench table --fail-under energy:auroc=0.9 --junit gates.xml
    """
    from oodbench.benchmarks.benchmark import read
    from oodbench.output.tables import Look, chosen

    if benchmark is not None:
        benchmark_options.print_tables(read(benchmark), found, output)
        return []
    # A wrong name is found before anything is computed.
    look["metrics"] = chosen(look["metrics"], look["convention"])
    output.tables(found.measured, Look(**look))
    return found.measured
