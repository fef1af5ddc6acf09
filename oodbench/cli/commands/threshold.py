"""`oodbench threshold`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    "--certified",
    type=click.Choice(["mean", "delta"], case_sensitive=False),
    help="Hold the rate for new images: on average over samples of test images, or for "
    "all but --delta of them.",
)
@click.option(
    "--risk",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="In place of a rate: at most this share of accepted predictions is wrong, for "
    "all but --delta of samples.",
)
@click.option(
    "--delta",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of samples for which a guarantee may fail.",
)
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file for `oodbench score`.",
)
@show.json_option
def threshold(results: Path, file: Path | None, as_json: bool, **options: Any) -> None:
    """Prints the score above which images are accepted.

    It accepts a share of the in-distribution test images, or bounds the errors of
    accepted predictions.

    \b
    oodbench threshold --model jem-digits --detector energy --to energy.json
    oodbench threshold --model jem-digits --detector msp --risk 0.05 --to msp.json
    oodbench score photo.png --threshold energy.json
    """
    from oodbench.runs.deployment.threshold import threshold as threshold_

    found = threshold_(results, to=file, **options)
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
    lines = [
        f"{printable(what)} on {printable(images['name'])}, "
        f"{images['images']} test images:",
        f"accept scores of at least {found['threshold']:.6g}{_likely(found)}",
        f"accepts {100 * found['accepted']:.2f} % of them{_of_all(found)}",
        f"guarantee: {found['guarantee']}",
    ]
    if found["detector"]["fitted_on"] and found["learnt"] is None:
        where = printable(found["detector"]["fitted_on"]["name"])
        lines.append(f"to score, the detector is fitted again on {where}")
    return "\n".join(lines)


def _likely(found: Record) -> str:
    if "threshold_interval" not in found:
        return ""
    low, high = found["threshold_interval"]
    return f" (95 % interval {_end(low, '-inf')} to {_end(high, 'inf')})"


def _of_all(found: Record) -> str:
    if "risk" in found:
        return (
            f", of which {100 * found['wrong']:.2f} % are wrong; of all images like "
            f"them at most {100 * found['wrong_at_most']:.2f} %"
        )
    least, most = found["accepted_interval"]
    return (
        f", and of all images like them {100 * least:.2f} to {100 * most:.2f} % "
        "(95 % interval)"
    )


def _end(value: float | None, infinite: str) -> str:
    return infinite if value is None else f"{value:.6g}"
