"""`oodbench train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from oodbench.base.progress import Progress
from oodbench.cli.options import (
    device_option,
    settings,
    size_option,
)
from oodbench.cli.recipe_options import recipe_options
from oodbench.networks import architectures


@click.command()
@click.option("--in", "inside", metavar="SET", help="[default: digits:0-7]")
@click.option(
    "--test",
    metavar="SET",
    help="Set to measure accuracy on.  [default: the test split of --in]",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("my-jem"),
    show_default=True,
    help="Folder for checkpoint, log, pictures of chains and weights.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the weights; their card goes into the same folder.  "
    "[default: in the folder, with its name]",
)
@click.option(
    "--arch",
    metavar="NAME or MODULE:FACTORY",
    help=f"{', '.join(architectures.names())}, or a factory of your own.  "
    "[default: mlp]",
)
@click.option(
    "--arg",
    "arch_args",
    multiple=True,
    metavar="KEY=VALUE",
    help="Argument of the network, as hidden=256,256 or depth=28.",
)
@size_option
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    help="File of weights to begin at, such as a classifier's; of the same network.",
)
@recipe_options
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this time; the same command continues from there.",
)
@click.option(
    "--overwrite", is_flag=True, help="Start again, whatever is in the folder."
)
@click.option(
    "--compile",
    is_flag=True,
    help="Compile each SGLD step into one graph, which takes seconds once.",
)
@click.option("--tensorboard", is_flag=True, help="Write for TensorBoard, too.")
@click.option("--note", default="", help="Text for the card.")
@device_option
def train(**options: Any) -> None:
    """Trains a classifier or a joint energy-based model (JEM).

    The same command again continues from the folder's checkpoint.

    \b
    oodbench train --in digits:0-7 --to my-jem
    oodbench run --model my-jem/my-jem.safetensors
    oodbench train --in cifar10 --to jem --recipe jem-paper --arch jem_wrn \\
        --arg depth=28 --arg width=10
    torchrun --nproc-per-node 4 --no-python oodbench train --in cifar10 …
    """
    from oodbench.base.processes import is_first_process
    from oodbench.jem.training.run import train as train_

    options["arch_args"] = settings(options["arch_args"])
    with Progress() as progress:
        trained = train_(
            **options.pop("changes"),
            **options,
            command=shlex.join(["oodbench", *sys.argv[1:]]),
            watch=progress,
        )
    if not is_first_process():
        return
    if trained is None:
        click.echo(
            f"Time is up. The same command continues from {options['to']}.", err=True
        )
        return
    click.echo(f"{trained}.")
