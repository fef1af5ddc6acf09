"""Writes numbers for TensorBoard: one folder per detector."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from oodbench.base.files import folder_name, key_of
from oodbench.output.trackers import Tracked


def write(place: str, runs: Iterable[Tracked]) -> None:
    """Writes runs to a folder that `tensorboard --logdir` shows."""
    from tensorboard.summary import Writer

    for run in runs:
        folder = folder_name(run.name, key_of(run.facts))
        writer = Writer(str(Path(place) / folder))
        for name, value in run.metrics.items():
            writer.add_scalar(name, value, 0)
        writer.close()
