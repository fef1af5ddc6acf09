"""`oodbench verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.cli import benchmark_options, show
from oodbench.cli.options import results_argument

if TYPE_CHECKING:
    from oodbench.benchmarks.verify import Check, Verification

NOT_REACHED = 1
HEAD = ["model", "detector", "set", "metric", "published", "here", "difference"]


@click.command()
@results_argument
@benchmark_options.required_option
@click.option(
    "--against",
    metavar="MODEL",
    help="The published model.  [default: the one with the name of the stored model]",
)
@show.output_options
def verify(
    results: Path, benchmark: str, against: str | None, output: show.Output
) -> None:
    """Compares stored results with published figures of a benchmark.

    The exit code is 1 if a figure is not reached.

    \b
    oodbench run --benchmark oe-mnist --model baseline=net.pt --arch nets.py:net
    oodbench verify --benchmark oe-mnist
    """
    from oodbench.benchmarks.verify import verify as compared

    found = compared(results, benchmark=benchmark, against=against)
    rows = [_row(check) for check in found.checks]
    title = f"Benchmark {benchmark} against published figures, in %."
    head = [*HEAD, "verdict", "why"]
    output.listing(title, head, rows, _notes(found))
    if any(check.verdict == "not reached" for check in found.checks):
        raise SystemExit(NOT_REACHED)


def _row(check: Check) -> list[str]:
    from oodbench.benchmarks.layout import figure_text
    from oodbench.output.numbers import points

    published, difference = check.published, check.difference
    return [
        check.model,
        published.detector,
        published.place.set,
        published.place.metric,
        figure_text(published.figure),
        figure_text(check.own),
        "–" if difference is None else points(difference),
        check.verdict,
        check.why,
    ]


def _notes(found: Verification) -> list[str]:
    counts = Counter(check.verdict for check in found.checks)
    notes = [", ".join(f"{count} {verdict}" for verdict, count in counts.items())]
    if found.left_out:
        others = sorted({each.detector for each in found.left_out})
        notes.append(
            f"not attempted: {len(found.left_out)} published figures of detectors that "
            f"are not stored or have other settings: {', '.join(others)}"
        )
    notes.append(
        "reached: it rounds to the published figure; within noise: at most two "
        "standard errors of the difference more, from both deviations"
    )
    used = {check.published.source for check in found.checks}
    for place in sorted(used):
        source = found.collection.sources[place]
        notes.append(
            f"published: {source['title']}; {source['repository']} "
            f"{source['commit'][:7]} {source['path']} ({source['evidence']})"
        )
    return notes + found.outcome.notes()
