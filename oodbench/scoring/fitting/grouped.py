"""Finds the smallest numbers of long rows without a look at each of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

WIDTH = 64
"""Numbers of a group."""
SPARE = 4
"""Groups for each number that is taken, at least."""


class Grouped(NamedTuple):
    """Rows of numbers in groups, whose smallest ones say where to look."""

    values: Tensor
    """`[N, G, W]`; the last group of a row is filled up with infinity."""

    @classmethod
    def empty(cls, like: Tensor, size: int, taken: int) -> Grouped:
        """Returns N rows of infinite numbers.

        Args:
            like: `[N, …]`, gives dtype and device, too.
            size: Numbers of a row, to be written into `rows`.
            taken: How many `take` will be asked for.
        """
        width = max(1, min(WIDTH, size // (SPARE * taken)))
        groups = math.ceil(size / width)
        return cls(like.new_full((len(like), groups, width), math.inf))

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

    def below(self, limits: Tensor, most: float) -> tuple[Tensor, Tensor, Tensor]:
        """Returns rows and columns of numbers below limits, and the crowded rows `[N]`.

        A row is crowded, and left out, where more than a share `most` of its groups has
        such a number. Rows are in order.

        Args:
            limits: `[N]`, one for each row.
            most: From 0 to 1.
        """
        near = self.values.amin(2) < limits[:, None]
        crowded = near.float().mean(1) > most
        rows, groups = (near & ~crowded[:, None]).nonzero(as_tuple=True)
        is_below = self.values[rows, groups] < limits[rows, None]
        chosen, inside = is_below.nonzero(as_tuple=True)
        columns = groups[chosen] * self.values.shape[2] + inside
        return rows[chosen], columns, crowded
