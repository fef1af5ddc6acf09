"""`oodbench rank`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oodbench.cli import show
from oodbench.cli.options import decimals_option, selection_options
from oodbench.metrics.table import METRICS

if TYPE_CHECKING:
    from oodbench.results.opened import Results


@click.command()
@selection_options
@click.option(
    "--metric",
    type=click.Choice(list(METRICS), case_sensitive=False),
    default="auroc",
    show_default=True,
)
@decimals_option
@show.output_options
def rank(found: Results, metric: str, decimals: int, output: show.Output) -> None:
    """Ranks detectors over all models and near and far sets.

    Detectors that share a letter do not differ significantly. `oodbench plot` draws the
    same as a picture.

    \b
    oodbench rank
    oodbench rank --role near --metric fpr95 --to ranks.tex
    """
    from oodbench.output.ranking import all_numbers, texts
    from oodbench.results.ranked import ranked

    ranks = ranked(found.measured, metric)
    head, rows = texts(ranks, decimals) if output.is_for_reading else all_numbers(ranks)
    title = f"Mean ranks of detectors by {ranks.metric.label}."
    output.listing(title, head, rows, ranks.notes)
