"""`oodbench threshold`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.cli import show
from oodbench.cli.options import results_argument

if TYPE_CHECKING:
    from oodbench.base.files import Record


@click.command()
@results_argument
@click.option(
    "--model", required=True, metavar="NAME", help="A model of these results."
)
@click.option(
    "--detector", required=True, metavar="NAME", help="A detector of these results."
)
@click.option(
    "--in",
    "inside",
    metavar="SET",
    help="The in-distribution set, where the model has several.",
)
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
@show.json_option
def threshold(
    results: Path,
    model: str,
    detector: str,
    inside: str | None,
    rate: float,
    file: Path | None,
    as_json: bool,
) -> None:
    """Prints the score that accepts a share of the in-distribution test images.

    \b
    oodbench threshold --model jem-digits --detector energy --to energy.json
    oodbench score photo.png --model jem-digits --threshold energy.json
    """
    from oodbench.runs.threshold import threshold as threshold_

    found = threshold_(
        results, model=model, detector=detector, inside=inside, rate=rate, to=file
    )
    if as_json:
        show.print_json(found)
    else:
        click.echo(_text(found))
    if file is not None:
        show.remark(f"Written to {file}.")


def _text(found: Record) -> str:
    from oodbench.base.text import printable

    images = found["inside"]
    what = f"{found['detector']['label']} of {found['model']['name']}"
    low, high = found["threshold_interval"]
    least, most = found["accepted_interval"]
    return (
        f"{printable(what)} on {printable(images['name'])}, "
        f"{images['images']} test images:\n"
        f"accept scores of at least {found['threshold']:.6g} (95 % interval "
        f"{_end(low, '-inf')} to {_end(high, 'inf')})\n"
        f"accepts {100 * found['accepted']:.2f} % of them, and of all images like them "
        f"{100 * least:.2f} to {100 * most:.2f} % (95 % interval)"
    )


def _end(value: float | None, infinite: str) -> str:
    return infinite if value is None else f"{value:.6g}"
