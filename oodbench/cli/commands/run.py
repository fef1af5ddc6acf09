"""`oodbench run`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.progress import Progress
from oodbench.base.text import printable
from oodbench.cli import benchmark_options, show
from oodbench.cli.options import comma_list
from oodbench.cli.scoring_options import scoring_options
from oodbench.cli.study import config_option, written

if TYPE_CHECKING:
    from oodbench.benchmarks.benchmark import Benchmark
    from oodbench.runs.result import RunResult

SOME_CELLS_FAILED = 1


@click.command()
@config_option
@benchmark_options.run_option
@benchmark_options.set_option
@click.option(
    "--detectors",
    multiple=True,
    callback=comma_list,
    metavar="NAME,…",
    help="Detectors, with parameters as in energy:temperature=2, or several values as "
    "in energy:temperature=1|2; shapings before a detector, as in react+msp; `all` for "
    "all that are installed.  [default: msp, max_logit, energy, entropy, log_px, "
    "jem_grad_norm and the controls pixel_knn and pixel_stats]",
)
@scoring_options
@click.option(
    "--plots/--no-plots",
    default=True,
    show_default=True,
    help="Whether to draw pictures into `plots` next to the results.",
)
@click.option(
    "--print-config",
    is_flag=True,
    help="Print these options as a file for --config, and stop.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would be computed and about how long it would take.",
)
@click.pass_context
def run(
    context: click.Context,
    /,
    out: list[str],
    detectors: list[str],
    results: Path,
    plots: bool,
    print_config: bool,
    dry_run: bool,
    benchmark: str | None,
    replaced: tuple[str, ...],
    **options: Any,
) -> None:
    """Scores the images of data sets by detectors, and prints tables.

    Scores that are stored already are not computed again. Without options it runs the
    bundled models on the bundled digits.

    \b
    oodbench run --model jem.pt --in cifar10 --out svhn,cifar100
    oodbench run --model net.pth --mean imagenet --in cifar10 --out svhn
    oodbench run --model net.pth --arch nets.py:resnet20 --mean .49,.48,.45 \\
        --std .25,.24,.26 --in cifar10 --out far=folder:photos,near=cifar100
    oodbench run --config study.toml --limit 100
    oodbench run --benchmark oe-mnist --model net.pt --arch nets.py:net
    """
    from oodbench.runs import run as runs
    from oodbench.runs.sets import default_out

    chosen = benchmark_options.chosen(context, benchmark, replaced)
    if print_config:
        others: dict[str, Any] = {"inside": None, "out": None}
        if chosen is None:
            others = {"out": default_out(options["inside"])}
        click.echo(written(context, {"detectors": runs.DETECTORS, **others}), nl=False)
        return
    options |= {"out": out or None, "detectors": detectors or runs.DETECTORS}
    options["benchmark"] = chosen
    if dry_run:
        _forecast(results=results, **options)
        return
    # Absolute from the start, since code of a plug-in may change the current folder.
    pictures = results.absolute().parent / "plots" if plots else None
    with Progress() as progress:
        result = runs.run(results=results, quiet=True, watch=progress, **options)
    if result.is_first:
        _show(result, pictures, chosen)
    if result.failed:
        raise SystemExit(SOME_CELLS_FAILED)


def _forecast(**options: Any) -> None:
    from oodbench.runs.forecast import forecast

    found = forecast(quiet=True, **options)
    for stage, images, detectors in found.planned:
        click.echo(f"{printable(stage)}: {images} images, {detectors} detectors")
    without = f", without {printable(', '.join(found.unknown))}" * bool(found.unknown)
    click.echo(
        f"About {timedelta(seconds=round(found.seconds))}{without}."
        if found.planned
        else "Everything is stored already."
    )


def _show(
    result: RunResult, pictures: Path | None, benchmark: Benchmark | None
) -> None:
    from oodbench.output.tables import Look

    found, output = result.opened(), show.Output("terminal")
    if benchmark is None:
        output.tables(found.measured, Look(metrics=["auroc"]))
    else:
        benchmark_options.print_tables(benchmark, found, output)
    *problems, count = result.summary()
    for line in problems:
        click.echo(line, err=True)
    show.remark(count)
    if pictures is not None and found.measured:
        from oodbench.output.plots.plot import plot

        show.print_written(plot(found, to=pictures))
