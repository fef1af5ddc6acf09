"""Rows of several blocks of a network in one summary."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oodbench import Outputs


def beside(rows: Sequence[Tensor]) -> Tensor:
    """Returns rows `[N, D]` of each block in one tensor, with NaN between blocks.

    Its shape is `[N, sum of all D + blocks − 1]`.
    """
    gap = rows[0].new_full((len(rows[0]), 1), float("nan"))
    parts = [part for own in rows for part in (gap, own)]
    return torch.cat(parts[1:], 1)


def apart(rows: Tensor) -> list[Tensor]:
    """Returns the rows `[N, D]` of each block from what `beside` makes of them."""
    first = rows[:64]  # those of a large split lie in a file
    gaps = first.isnan().all(0).nonzero()[:, 0].tolist()
    starts, ends = [0, *(gap + 1 for gap in gaps)], [*gaps, rows.shape[1]]
    return [rows[:, start:end] for start, end in zip(starts, ends, strict=True)]


def pooled(outputs: Outputs) -> list[Tensor]:
    """Returns the mean of each block's map over its positions, `[N, C]`."""
    return [outputs.map(block).mean((2, 3)) for block in outputs.blocks]
