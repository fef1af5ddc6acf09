"""`oodbench threshold`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.base.errors import InputError
from oodbench.cli.options import results_argument

if TYPE_CHECKING:
    from oodbench.base.files import Record
    from oodbench.metrics.threshold import Threshold
    from oodbench.results.groups import Group


@click.command()
@results_argument
@click.option("--model", required=True, metavar="NAME", help="Of the results.")
@click.option("--detector", required=True, metavar="NAME", help="Of the results.")
@click.option("--in", "inside", metavar="SET", help="Where a model has more than one.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Share of in-distribution images to accept.",
)
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file for `oodbench score`.",
)
def threshold(
    results: Path,
    model: str,
    detector: str,
    inside: str | None,
    rate: float,
    file: Path | None,
) -> None:
    """Finds the score that accepts a share of the in-distribution test images.

    \b
    oodbench threshold --model jem-digits --detector energy --to energy.json
    oodbench score photo.png --model jem-digits --threshold energy.json
    """
    from oodbench.metrics.threshold import threshold as threshold_of
    from oodbench.results import thresholds
    from oodbench.results.opened import open_results

    groups = open_results(results).groups
    group = _choose(groups, model, inside)
    cell, record = _cell(group, detector)
    found = threshold_of(cell, rate)
    click.echo(_text(record, found))
    if file is not None:
        thresholds.write(file, thresholds.record(record, found, rate))
        click.echo(f"Written to {file}.", err=True)


def _choose(groups: Sequence[Group], model: str, inside: str | None) -> Group:
    from oodbench.base.registry import unknown

    models = sorted({group.model for group in groups})
    if model not in models:
        raise InputError(unknown("model in these results", model, models))
    sets = {g.inside.name: g for g in groups if g.model == model}
    if inside is None and len(sets) > 1:
        raise InputError(
            f"{model} has several in-distribution sets; say --in with one of: "
            f"{', '.join(sets)}."
        )
    name = inside or next(iter(sets))
    if name not in sets:
        raise InputError(unknown("in-distribution set in these results", name, sets))
    return sets[name]


def _cell(group: Group, detector: str) -> tuple[Sequence[float], Record]:
    from oodbench.base.registry import unknown

    cells = group.inside.cells
    if detector not in cells:
        raise InputError(unknown("detector in these results", detector, cells))
    record, scores = cells[detector]
    if "failure" in record:
        raise InputError(
            f"{detector} of {group.model} has no scores: {record['failure']}."
        )
    return scores.tolist(), record


def _text(record: Record, found: Threshold) -> str:
    from oodbench.base.text import printable

    images = record["set"]
    what = f"{record['detector']['label']} of {record['model']['name']}"
    low, high = found.likely
    least, most = found.true_share
    return (
        f"{printable(what)} on {printable(images['name'])}, "
        f"{images['images']} test images:\n"
        f"accept scores of at least {found.value:.6g} (95 % interval "
        f"{low:.6g} to {high:.6g})\n"
        f"accepts {100 * found.share:.2f} % of them, and of all images like them "
        f"{100 * least:.2f} to {100 * most:.2f} % (95 % interval)"
    )
