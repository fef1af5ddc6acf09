"""`oodbench costs`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.cli import show
from oodbench.cli.options import results_argument


@click.command()
@results_argument
@show.format_option
def costs(results: Path, format_: str | None) -> None:
    """Shows what detectors cost: passes of the network, time and memory.

    Costs are beyond the forward pass that all detectors share.
    """
    from oodbench.results.costs import cost_rows
    from oodbench.results.opened import open_results

    found = open_results(results)
    head = [
        *("in", "model", "detector", "forward", "backward"),
        *("µs an image", "fit s", "MiB", "mean AUROC"),
    ]
    rows = [
        (
            row.inside,
            row.model,
            row.detector,
            f"{row.forward:g}",
            f"{row.backward:g}",
            f"{row.microseconds:.2f}",
            "" if row.fit_seconds is None else f"{row.fit_seconds:.3f}",
            "" if row.mebibytes is None else f"{row.mebibytes:.2f}",
            f"{100 * row.auroc:.1f}",
        )
        for row in cost_rows(found.measured)
    ]
    show.print_listing("", head, rows, found.notes, format_)
