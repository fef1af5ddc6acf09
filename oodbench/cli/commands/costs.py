"""`oodbench costs`."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import TYPE_CHECKING

import click

from oodbench.cli import show
from oodbench.cli.options import selection_options

if TYPE_CHECKING:
    from oodbench.results.opened import Results


@click.command()
@selection_options
@show.output_options
def costs(found: Results, output: show.Output) -> None:
    """Shows the network passes, time and memory of each detector.

    Costs are beyond the forward pass that all detectors share.
    """
    from oodbench.results.costs import CostRow, cost_rows

    rows = [
        row for row in cost_rows(found.measured) if row.detector not in found.hidden
    ]
    if not output.is_for_reading:
        head = [one.name for one in fields(CostRow)]
        output.listing("", head, [astuple(row) for row in rows], found.notes)
        return
    head = [
        *("model", "detector", "in", "forward", "backward"),
        *("µs an image", "fit s", "MiB", "mean AUROC %"),
    ]
    texts = [
        (
            row.model,
            row.detector,
            row.inside,
            f"{row.forward:g}",
            f"{row.backward:g}",
            f"{row.microseconds:.2f}",
            "" if row.fit_seconds is None else f"{row.fit_seconds:.3f}",
            "" if row.mebibytes is None else f"{row.mebibytes:.2f}",
            f"{100 * row.auroc:.1f}",
        )
        for row in rows
    ]
    output.listing("What detectors cost.", head, texts, found.notes)
