"""`oodbench sample`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from oodbench.base.defaults import SAMPLES
from oodbench.base.progress import Progress
from oodbench.base.text import printable
from oodbench.cli.options import checkpoint_options, device_option
from oodbench.cli.sampler_options import sampler_options


@click.command()
@click.option("--model", required=True, help="File or bundled name.")
@checkpoint_options
@click.option(
    "--count", type=click.IntRange(1), default=64, show_default=True, help="Samples."
)
@click.option(
    "--class",
    "classes",
    metavar="CLASSES",
    default="",
    help="Classes to sample p(x|y) of in turn, as in 0-3+7.  [default: p(x)]",
)
@click.option(
    "--start",
    type=click.Choice(["noise", "buffer"]),
    default="noise",
    show_default=True,
    help="Where chains start; buffer is the replay buffer in a JEM's checkpoint.",
)
@click.option(
    "--steps",
    type=click.IntRange(0),
    default=400,
    show_default=True,
    help="Steps of each chain.",
)
@sampler_options
@click.option(
    "--beside",
    metavar="SET",
    help="Training set, to find copies and to compare log p(x) with.",
)
@click.option(
    "--fid",
    metavar="SET",
    help="Set from whose training images to measure the Fréchet Inception distance; "
    "needs oodbench[fid] and thousands of samples.",
)
@click.option(
    "--fid-weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the Inception network.  [default: torch-fidelity downloads it]",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the chains.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Chains at once; changes samples by rounding only.  [default: by the size of "
    "the images]",
)
@device_option
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=SAMPLES,
    help="Folder to write to.  [default: one of the network's own in results/samples]",
)
def sample(checkpoint: Mapping[str, Any], **options: Any) -> None:
    """Draws samples from a model's p(x) or p(x|y) by SGLD.

    Writes samples.png, samples.npz, chain.png, nearest.png and samples.json.

    \b
    oodbench sample --model jem-digits --beside digits:0-7
    oodbench sample --model jem.pt --start buffer --steps 0 --beside cifar10
    """
    from oodbench.jem.samples.run import sample as sample_

    with Progress() as progress:
        found = sample_(**options, **checkpoint, watch=progress)
    for line in str(found).splitlines():
        click.echo(printable(line))
    click.echo(f"Written to {found.folder}.", err=True)
