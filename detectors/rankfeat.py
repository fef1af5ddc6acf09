"""Energy without the largest singular component of the last maps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Detector, Need, Outputs


@dataclass
class RankFeat(Detector):
    """LogSumExp_y of the mean logits with the last maps X replaced by X − σ₁ u₁ v₁ᵀ.

    X is a block's map as a matrix of channels by positions, σ₁ its largest singular
    value with the singular vectors u₁ and v₁. The network runs on from each of its last
    two blocks, once each, and the logits are averaged; a network with one block runs
    once. The decomposition is exact; the authors also offer a power iteration.

    Song, Sebe and Wang, RankFeat: Rank-1 Feature Removal for Out-of-distribution
    Detection, NeurIPS 2022, arXiv 2209.08590.
    """

    needs = Need.BLOCKS | Need.NETWORK

    def score(self, batch: Outputs) -> Tensor:
        """Returns the LogSumExp, `[N]`."""
        logits = [
            batch.with_map(block, without_largest(batch.map(block))).logits.double()
            for block in batch.blocks[-2:]
        ]
        return torch.stack(logits).mean(0).logsumexp(1)


def without_largest(maps: Tensor) -> Tensor:
    """Returns maps `[N, C, H, W]` without their largest singular components."""
    matrices = maps.double().flatten(2)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    largest = values[:, :1, None] * left[:, :, :1] * right[:, :1]
    return (matrices - largest).view_as(maps).to(maps.dtype)
