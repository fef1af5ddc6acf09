"""Correlations between the channels of a block, and their range by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench import Outputs
from oodbench.detectors._blocks import beside


@dataclass(frozen=True)
class Correlations:
    """Summary: correlations between channels, of orders 1 to `orders`, by block."""

    orders: int

    def __call__(self, outputs: Outputs) -> Tensor:
        """Returns the correlations of all blocks `beside` each other, float32."""
        return beside(self.by_block(outputs))

    def by_block(self, outputs: Outputs) -> list[Tensor]:
        """Returns the correlations in each block, `[N, orders · C]`, float32."""
        maps = (outputs.map(block).double().flatten(2) for block in outputs.blocks)
        return [_roots(own, self.orders).float() for own in maps]


class Range(NamedTuple):
    """Where correlations lie in each class, from low to high."""

    low: Tensor
    """`[K, orders · C]`, float32."""
    high: Tensor

    def deviation(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Returns the relative amounts outside the predicted class's range, `[N]`.

        Their sum is divided by the largest softmax probability.

        Args:
            rows: Correlations, `[N, orders · C]`.
            logits: `[N, K]`.
        """
        predicted, confidence = logits.argmax(1), logits.double().softmax(1).amax(1)
        low, high = self.low[predicted].double(), self.high[predicted].double()
        below = (low - rows).clamp(min=0) / (low + 1e-6).abs()
        above = (rows - high).clamp(min=0) / (high + 1e-6).abs()
        return (below + above).sum(1) / confidence


def range_of(rows: Tensor, classes: Sequence[Tensor]) -> Range:
    """Returns the range of correlations `[N, orders · C]` in each class.

    A class without images has the range of all.

    Args:
        rows: Correlations.
        classes: The places of each class's images.
    """
    found = [rows[own].aminmax(dim=0) if len(own) else None for own in classes]
    there = [one for one in found if one is not None]
    low = torch.stack([one.min for one in there]).amin(0)
    high = torch.stack([one.max for one in there]).amax(0)
    return Range(
        torch.stack([low if one is None else one.min for one in found]),
        torch.stack([high if one is None else one.max for one in found]),
    )


def _roots(maps: Tensor, orders: int) -> Tensor:
    """Returns the signed p-th roots of the row sums of F^p (F^p)ᵀ, `[N, orders · C]`.

    F are maps `[N, C, positions]`, float64; their 20th powers overflow float32.
    """
    found, powers = [], torch.ones_like(maps)
    for p in range(1, orders + 1):
        powers = powers * maps
        sums = (powers @ powers.sum(1)[:, :, None])[:, :, 0]
        found.append(sums.sign() * sums.abs() ** (1 / p))
    return torch.cat(found, 1)
