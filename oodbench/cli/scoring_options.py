"""The options of commands that score models on pairs of sets."""

from __future__ import annotations

from collections.abc import Callable

import click

from oodbench.cli.options import (
    batch_size_option,
    checkpoint_options,
    device_option,
    inside_option,
    limit_option,
    models_option,
    results_option,
    set_list,
    size_option,
)

_OPTIONS = (
    models_option,
    inside_option,
    click.option(
        "--out",
        multiple=True,
        callback=set_list,
        metavar="[ROLE=]SET,…",
        help="Out-of-distribution sets; ROLE is near, far, covariate or probe.  "
        "[default: sets that need no download]",
    ),
    click.option(
        "--fit",
        metavar="SET",
        help="The set that detectors are fitted on.  [default: --in]",
    ),
    checkpoint_options,
    size_option,
    limit_option,
    click.option(
        "--precision",
        type=click.Choice(["fp32", "tf32", "bf16"]),
        default="fp32",
        show_default=True,
        help="Precision of the network; scores are computed from float32 in all "
        "cases. tf32 is faster on a GPU, and fp32 elsewhere.",
    ),
    click.option(
        "--compile",
        "compiled",
        is_flag=True,
        help="Have torch.compile run the stages of networks. It takes a minute or more "
        "and pays where there are many images; last digits differ.",
    ),
    click.option(
        "--input-noise",
        type=click.FloatRange(0),
        metavar="NUMBER",
        default=0.0,
        help="Standard deviation of Gaussian noise on all evaluated images, for pixels "
        "in [-1, 1]; 0.03 in the JEM paper's evaluation.  [default: no noise]",
    ),
    click.option(
        "--skip-unreadable",
        is_flag=True,
        help="Leave out image files that cannot be read, instead of an error.",
    ),
    click.option(
        "--skip-missing",
        is_flag=True,
        help="Leave out sets that cannot be opened, instead of an error.",
    ),
    batch_size_option,
    click.option(
        "--workers",
        type=click.IntRange(0),
        help="Processes that read images ahead.  [default: some for folders, else 0]",
    ),
    device_option,
    results_option,
    click.option(
        "--overwrite",
        type=click.Choice(["missing", "stale", "always"]),
        default="missing",
        show_default=True,
        help="missing: compute absent cells. stale: also remove outdated ones. always: "
        "recompute everything.",
    ),
)


def scoring_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds models, sets, and how scores are computed and stored."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
