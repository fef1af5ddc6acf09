"""`oodbench tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oodbench.base.progress import Progress
from oodbench.base.tuning import NOTES, PROTOCOLS, TuningProtocol
from oodbench.cli import show
from oodbench.cli.options import comma_list, set_list
from oodbench.cli.scoring_options import scoring_options

if TYPE_CHECKING:
    from oodbench.runs.tune import TuneResult

SOME_CELLS_FAILED = 1


@click.command()
@click.option(
    "--detectors",
    multiple=True,
    required=True,
    callback=comma_list,
    metavar="SWEEP,…",
    help="Detectors with the values to choose from, as in knn:k=1|5|50 or "
    "react:percentile=85|90+energy.",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    required=True,
    help="; ".join(f"{name}: {note}" for name, note in NOTES.items()) + ".",
)
@click.option(
    "--in-val",
    metavar="SET",
    help="In-distribution images to choose on: the val split of a set, or its test "
    "split.  [default: val images of --in, every other one where --fit is not given]",
)
@click.option(
    "--out-val",
    multiple=True,
    callback=set_list,
    metavar="SET,…",
    help="OOD images to choose on, for ood-validation; no test images.",
)
@scoring_options
def tune(out: list[str], protocol: TuningProtocol, **options: Any) -> None:
    """Chooses parameters of detectors by a stated protocol.

    For each sweep and model it chooses the values with the highest mean AUROC over the
    validation sets, and scores the test sets by them. The names of the chosen detectors
    end with the protocol, as in knn:k=5@oracle. Stored scores are not computed again.

    \b
    oodbench tune --detectors "knn:k=1|5|50" --protocol in-distribution
    oodbench tune --model net.pt --in cifar10 --out svhn --out-val tin \\
        --in-val imglist:val.txt --detectors "react:percentile=85|90+energy" \\
        --protocol ood-validation
    """
    from oodbench.runs import tune as tunes

    with Progress() as progress:
        result = tunes.tune(
            out=out or None, protocol=protocol, quiet=True, watch=progress, **options
        )
    if result.is_first:
        _show(result, protocol)
    if result.failed:
        raise SystemExit(SOME_CELLS_FAILED)


def _show(result: TuneResult, protocol: TuningProtocol) -> None:
    from oodbench.output.numbers import percent
    from oodbench.output.tables import Look

    output = show.Output("terminal")
    rows = [
        [
            one.model,
            one.detector,
            "–" if one.auroc is None else percent(one.auroc),
            "chosen" * one.chosen,
        ]
        for one in result.candidates
    ]
    head = ["model", "candidate", "mean AUROC %", ""]
    output.listing(f"Candidates; {NOTES[protocol]}.", head, rows)
    output.tables(result.opened().measured, Look(metrics=["auroc"]))
    *problems, count = result.summary()
    for line in problems:
        click.echo(line, err=True)
    show.remark(count)
