"""`oodbench train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Literal

import click

from oodbench.cli.options import device_option
from oodbench.cli.progress import Progress
from oodbench.errors import InputError


@click.command()
@click.option("--in", "inside", default="digits:0-7", show_default=True, metavar="SET")
@click.option(
    "--to",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="A .safetensors file; its card is written beside it.",
)
@click.option(
    "--objective",
    type=click.Choice(["jem", "ce"]),
    default="jem",
    show_default=True,
    help="ce is cross-entropy alone.",
)
@click.option(
    "--hidden",
    default="256,256",
    show_default=True,
    metavar="N,…",
    help="Widths of the hidden layers.",
)
@click.option(
    "--activation",
    type=click.Choice(["silu", "leaky_relu"]),
    default="leaky_relu",
    show_default=True,
)
@click.option("--iterations", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option(
    "--decay",
    type=click.Choice(["cosine", "none"]),
    default="none",
    show_default=True,
)
@click.option(
    "--input-noise",
    type=float,
    default=0.03,
    show_default=True,
    help="Deviation, on images in [-1, 1].",
)
@click.option(
    "--energy-l2",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight of log p(x)², which keeps it near 0.",
)
@click.option("--sgld-steps", type=click.IntRange(1), default=20, show_default=True)
@click.option("--sgld-step-size", type=float, default=1.0, show_default=True)
@click.option("--sgld-noise", type=float, default=0.01, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--note", default="", help="A word for the card: why this recipe, say.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Of the CPU; small networks run fastest on 1.",
)
@device_option
def train(
    inside: str,
    path: Path,
    objective: Literal["jem", "ce"],
    hidden: str,
    activation: str,
    iterations: int,
    batch_size: int,
    learning_rate: float,
    decay: Literal["cosine", "none"],
    input_noise: float,
    energy_l2: float,
    sgld_steps: int,
    sgld_step_size: float,
    sgld_noise: float,
    seed: int,
    note: str,
    threads: int | None,
    device: str,
) -> None:
    """Trains a small classifier, plain or as a joint energy-based model.

    \b
    oodbench train --in digits:0-7 --to my-jem.safetensors --threads 1
    oodbench run --model my-jem.safetensors
    """
    if path.suffix != ".safetensors":
        raise InputError(f"--to must end in .safetensors, got {path}.")
    widths = [width.strip() for width in hidden.split(",")]
    if not all(width.isdecimal() and int(width) for width in widths):
        raise InputError(
            f"--hidden must be widths with commas between, not {hidden!r}."
        )

    import torch

    from oodbench import training
    from oodbench.jem.sampler import SGLD
    from oodbench.jem.train import Recipe

    if threads:
        torch.set_num_threads(threads)
    with Progress() as progress:
        trained = training.train(
            inside,
            Recipe(
                objective=objective,
                iterations=iterations,
                batch_size=batch_size,
                learning_rate=learning_rate,
                decay=decay,
                input_noise=input_noise,
                energy_l2=energy_l2,
                sampler=SGLD(sgld_steps, sgld_step_size, sgld_noise),
                seed=seed,
            ),
            hidden=tuple(int(width) for width in widths),
            activation=activation,
            device=device,
            command=shlex.join(["oodbench", *sys.argv[1:]]),
            note=note,
            watch=progress.watch,
        )
    trained.write(path)
    val, test = (trained.card["accuracy"][stage] for stage in ("val", "test"))
    click.echo(f"{path}: accuracy {val:.4f} on val, {test:.4f} on test.")
