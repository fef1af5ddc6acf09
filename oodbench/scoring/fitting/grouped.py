"""Finds the smallest numbers of long rows without a look at each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

WIDTH = 64
"""Numbers of a group."""
SPARE = 4
"""Groups for each number that is taken, at least."""
AT_ONCE = 2**15
"""Groups that are looked into at once."""


class Grouped(NamedTuple):
    """Rows of numbers in groups, whose smallest ones say where to look."""

    values: Tensor
    """`[N, G, W]`; the last group of a row is filled up with infinity."""

    @classmethod
    def empty(cls, like: Tensor, size: int, taken: int) -> Grouped:
        """Returns N rows of numbers that are still to be written.

        Args:
            like: `[N, …]`, gives dtype and device, too.
            size: Numbers of a row, to be written into `rows`.
            taken: How many `take` will be asked for.
        """
        width = max(1, min(WIDTH, size // (SPARE * taken)))
        groups = math.ceil(size / width)
        values = like.new_empty(len(like), groups, width)
        values.flatten(1)[:, size:] = math.inf
        return cls(values)

    @property
    def rows(self) -> Tensor:
        """The same memory as `[N, G · W]`."""
        return self.values.flatten(1)

    def take(self, count: int) -> tuple[Tensor, Tensor]:
        """Returns rows and columns of numbers, which become infinite.

        They are the smallest numbers of the `count` groups with the smallest ones.
        """
        _, groups, width = self.values.shape
        lowest = self.values.amin(2).topk(min(count, groups), largest=False).indices
        inside = self.values.take_along_dim(lowest[:, :, None], 1).argmin(2)
        columns = lowest * width + inside
        self.rows.scatter_(1, columns, math.inf)
        rows = torch.arange(len(columns), device=columns.device)
        return rows.repeat_interleave(columns.shape[1]), columns.flatten()

    def near(self, limits: Tensor) -> Tensor:
        """Returns which groups `[N, G]` have a number below limits `[N]`, one a row."""
        return self.values.amin(2) < limits[:, None]

    def below(
        self, limits: Tensor, near: Tensor
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yields rows and columns of the numbers below limits, some rows at a time.

        With them is the slice of the rows; they are counted from its first one, in
        order.

        Args:
            limits: `[N]`, one for each row.
            near: `[N, G]`, the groups to look into.
        """
        for some in _slices(near.sum(1).tolist()):
            values, limit = self.values[some], limits[some]
            rows, groups = near[some].nonzero(as_tuple=True)
            is_below = values[rows, groups] < limit[rows, None]
            chosen, inside = is_below.nonzero(as_tuple=True)
            yield some, rows[chosen], groups[chosen] * values.shape[2] + inside


def _slices(counts: Sequence[int]) -> Iterator[slice]:
    """Yields slices of rows with at most `AT_ONCE` groups, or of one row."""
    start = total = 0
    for row, count in enumerate(counts):
        if total + count > AT_ONCE and row > start:
            yield slice(start, row)
            start, total = row, 0
        total += count
    yield slice(start, len(counts))
