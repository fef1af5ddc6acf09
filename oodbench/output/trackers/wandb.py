"""Sends numbers to Weights & Biases: one run per detector."""

from __future__ import annotations

from collections.abc import Iterable

from oodbench.output.trackers import Tracked


def write(place: str, runs: Iterable[Tracked]) -> None:
    """Writes runs to a project; WANDB_MODE=offline keeps them on this machine."""
    import wandb

    for run in runs:
        made = wandb.init(
            project=place, name=run.name, config=run.facts, reinit="create_new"
        )
        made.log(run.metrics)
        made.finish()
