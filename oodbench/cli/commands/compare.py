"""`oodbench compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oodbench.cli import show
from oodbench.cli.options import decimals_option, kinds_option, selection_options

if TYPE_CHECKING:
    from oodbench.results.opened import Results


@click.command()
@selection_options
@click.option(
    "--against",
    metavar="NAME",
    help="Detector to compare with.  [default: the best of each model and set]",
)
@kinds_option
@decimals_option
@show.output_options
def compare(
    found: Results,
    against: str | None,
    kinds: dict[str, list[str]],
    decimals: int,
    output: show.Output,
) -> None:
    """Shows which detectors or kinds of models differ.

    Differences are tested for significance, paired and Holm-corrected.

    \b
    oodbench compare
    oodbench compare --against msp --format csv
    oodbench compare --group 'all=*'
    oodbench compare --group 'jem=jem-*' --group 'ce=ce-*' --to compare.tex
    """
    from oodbench.output import comparison

    compared = comparison.comparisons(found, against, kinds)
    if output.is_for_reading:
        for one in compared:
            head, rows = comparison.texts(one, decimals)
            output.listing(one.title, head, rows, one.notes)
    else:
        notes = dict.fromkeys(note for one in compared for note in one.notes)
        output.listing("", *comparison.all_numbers(compared), list(notes))
