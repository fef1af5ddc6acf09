"""`oodbench score`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from oodbench.cli import show
from oodbench.cli.options import checkpoint_options, device_option


@click.command()
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE…",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--threshold",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that `oodbench threshold --to` wrote.",
)
@click.option("--model", required=True, help="A file or a bundled name.")
@checkpoint_options
@device_option
@show.json_option
def score(
    images: tuple[Path, ...],
    file: Path,
    model: str,
    checkpoint: Mapping[str, Any],
    device: str,
    as_json: bool,
) -> None:
    """Scores image files and accepts or rejects each one.

    Prints one line per image: file, score, accepted or rejected, separated by tabs.

    \b
    oodbench threshold --model jem-digits --detector energy --to energy.json
    oodbench score photo.png --model jem-digits --threshold energy.json
    """
    from oodbench.runs.accept import score as score_

    found = score_(
        images, model=model, threshold=file, checkpoint=checkpoint, device=device
    )
    if as_json:
        names = ("file", "score", "accepted")
        show.print_json(
            [dict(zip(names, (str(path), *rest), strict=True)) for path, *rest in found]
        )
        return
    for path, value, accepted in found:
        verdict = "accepted" if accepted else "rejected"
        click.echo(f"{path}\t{value:.6g}\t{verdict}")
