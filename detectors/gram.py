"""Deviation of correlations between channels from their range in training."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._blocks import apart
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._gram import Correlations, Range, range_of
from oodbench.scoring.fitting.statistics import classes

HELD_OUT_AT_ONCE = 64


@dataclass
class Gram(Detector):
    """−Σ_b δ_b / E_b over the blocks b, δ_b the deviation of the block's correlations.

    With F the block's map as a matrix of channels by positions, and F^p the p-th powers
    of its entries, the correlations are the signed p-th roots of the row sums of
    F^p (F^p)ᵀ, p = 1 … `orders`. Each has a range over the training images predicted as
    the image's class. δ_b is the sum of the relative amounts by which they leave their
    ranges, divided by the image's largest softmax probability. E_b is the mean δ_b of
    training images that are held out of the ranges.

    The authors take E_b from a tenth of the test images. A class that is never
    predicted has the ranges of all. `fit` reads `orders` floats per image and channel.

    Sastry and Oore, Detecting Out-of-Distribution Examples with Gram Matrices, ICML
    2020, arXiv 1912.12510.
    """

    needs = Need.BLOCKS
    fitted_on = "train"

    orders: int = 10
    """The largest power p, at least 1."""
    held_out: float = 0.1
    """Share of the training images that are held out, above 0 and below 1."""
    seed: int = 0
    """Of their draw."""
    _ranges: tuple[Range, ...] = field(init=False, repr=False)
    _usual: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < (share := self.held_out) < 1:
            raise ValueError(f"held_out must be above 0 and below 1, got {share}")
        check_at_least(self, orders=1, seed=0)
        self.summaries = (Correlations(self.orders),)

    def fit(self, known: Known) -> None:
        """Keeps the ranges of each block, and E_b."""
        logits, count = known.logits, classes(known)
        order = np.random.default_rng(self.seed).permutation(len(logits))
        most = len(order) - round(self.held_out * len(order))
        if not 0 < most < len(order):
            raise ValueError(
                f"{len(order)} training images are too few to hold out {self.held_out}"
            )
        kept, rest = torch.from_numpy(order).split([most, len(order) - most])
        predicted = logits[kept].argmax(1)
        groups = [kept[predicted == own] for own in range(count)]
        ranges, usual = [], []
        for number, rows in enumerate(apart(known.summary(*self.summaries)), 1):
            ranges.append(range_of(rows, groups))
            parts = rest.split(HELD_OUT_AT_ONCE)
            outside = [ranges[-1].deviation(rows[own], logits[own]) for own in parts]
            usual.append(torch.cat(outside).mean().item())
            if not usual[-1] > 0:
                raise ValueError(
                    f"no held-out image leaves the ranges of block {number}; "
                    "hold out a larger share"
                )
        self._ranges, self._usual = tuple(ranges), tuple(usual)

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the deviation, `[N]`, ≤ 0; 0 is within all ranges."""
        rows = Correlations(self.orders).by_block(batch)
        blocks = zip(self._ranges, self._usual, rows, strict=True)
        parts = [own.deviation(row, batch.logits) / e for own, e, row in blocks]
        return -torch.stack(parts).sum(0)
