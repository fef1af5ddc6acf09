"""`oodbench tune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oodbench.base.progress import Progress
from oodbench.base.tuning import NOTES, PROTOCOLS, TuningProtocol
from oodbench.cli import benchmark_options, show
from oodbench.cli.options import comma_list, set_list
from oodbench.cli.scoring_options import scoring_options

if TYPE_CHECKING:
    from oodbench.benchmarks.benchmark import Benchmark
    from oodbench.runs.tuning.tune import TuneResult

SOME_CELLS_FAILED = 1


@click.command()
@benchmark_options.run_option
@benchmark_options.set_option
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
    help="OOD images to choose on, for ood-validation; no test images.  [default: "
    "those of --benchmark]",
)
@scoring_options
@click.pass_context
def tune(
    context: click.Context,
    /,
    out: list[str],
    out_val: list[str],
    protocol: TuningProtocol,
    benchmark: str | None,
    replaced: tuple[str, ...],
    **options: Any,
) -> None:
    """Chooses parameters of detectors by a stated protocol.

    For each sweep and model it chooses the values with the highest mean AUROC over the
    validation sets, and scores the test sets by them. The names of the chosen detectors
    end with the protocol, as in knn:k=5@oracle. Stored scores are not computed again.

    \b
    oodbench tune --detectors "knn:k=1|5|50" --protocol in-distribution
    oodbench tune --model net.pt --in cifar10 --out svhn --out-val tin \\
        --in-val imglist:val.txt --detectors "react:percentile=85|90+energy" \\
        --protocol ood-validation
    oodbench tune --benchmark openood-cifar10 --model net.pt \\
        --detectors "knn:k=1|5|50" --protocol ood-validation
    """
    from oodbench.runs.tuning import tune as tunes

    chosen = benchmark_options.chosen(context, benchmark, replaced)
    if chosen is not None:
        options["inside"] = chosen.inside.text
        out = [member.text for member in chosen.outside]
        options["checkpoint"]["usual"] = chosen.usual
        if protocol == "ood-validation":
            out_val = out_val or list(chosen.validation)
    options |= {"out": out or None, "out_val": out_val, "protocol": protocol}
    with Progress() as progress:
        result = tunes.tune(quiet=True, watch=progress, **options)
    if result.is_first:
        _show(result, protocol, chosen)
    if result.failed:
        raise SystemExit(SOME_CELLS_FAILED)


def _show(
    result: TuneResult, protocol: TuningProtocol, benchmark: Benchmark | None
) -> None:
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
    if benchmark is None:
        output.tables(result.opened().measured, Look(metrics=["auroc"]))
    else:
        benchmark_options.print_tables(benchmark, result.opened(), output)
    *problems, count = result.summary()
    for line in problems:
        click.echo(line, err=True)
    show.remark(count)
