"""`oodbench diagnose`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from oodbench.base.defaults import DIAGNOSES, INSIDE
from oodbench.base.progress import Progress
from oodbench.base.text import printable
from oodbench.cli.options import checkpoint_options, device_option
from oodbench.cli.sampler_options import sampler_options


@click.command()
@click.option("--model", required=True, help="File or bundled name.")
@checkpoint_options
@click.option(
    "--in",
    "inside",
    metavar="SET",
    default=INSIDE,
    show_default=True,
    help="Training set, of whose test images log p(x) is measured.",
)
@click.option(
    "--chains",
    type=click.IntRange(2),
    default=32,
    show_default=True,
    help="Chains, half from test images and half from noise; as many measure log Z.",
)
@click.option(
    "--steps",
    type=click.IntRange(8),
    default=1000,
    show_default=True,
    help="Steps of each chain, of which the second half is measured.",
)
@sampler_options
@click.option(
    "--temperatures",
    type=click.IntRange(0),
    default=300,
    show_default=True,
    help="Steps of annealed importance sampling; more give a smaller interval of log "
    "Z, and 0 leaves it out.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Chains at once.  [default: by the size of the images]",
)
@device_option
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=DIAGNOSES,
    show_default=True,
    help="Folder in which each network has a file for all numbers, where `oodbench "
    "report` finds it; or a file that ends in .json.",
)
def diagnose(checkpoint: Mapping[str, Any], **options: Any) -> None:
    """Measures the mixing, log Z and coverage of a JEM's p(x).

    It runs SGLD chains, compares their samples with training images, and finds copies.

    \b
    oodbench diagnose --model jem-digits
    oodbench diagnose --model jem-digits --step-size 0.01 --noise coupled
    """
    from oodbench.jem.diagnostics.run import diagnose as diagnose_

    with Progress() as progress:
        found = diagnose_(**options, **checkpoint, watch=progress)
    for line in str(found).splitlines():
        click.echo(printable(line))
    click.echo(f"Written to {found.file}.", err=True)
