"""Rows of several blocks of a network in one summary."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from oodbench import Outputs


def beside(rows: Sequence[Tensor]) -> Tensor:
    """Returns rows `[N, D]` of each block in one tensor `[N, blocks, largest D]`.

    Places that a block does not fill are NaN.
    """
    columns = [one.T for one in rows]
    return pad_sequence(columns, padding_value=float("nan")).permute(2, 1, 0)


def apart(rows: Tensor) -> list[Tensor]:
    """Returns the rows `[N, D]` of each block from what `beside` makes of them."""
    return [one[:, ~one.isnan().all(0)] for one in rows.unbind(1)]


def pooled(outputs: Outputs) -> list[Tensor]:
    """Returns the mean of each block's map over its positions, `[N, C]`."""
    return [outputs.map(block).mean((2, 3)) for block in outputs.blocks]
