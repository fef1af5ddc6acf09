"""The part of the training images that a detector keeps to compare with."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from oodbench import Detector, Known, Need
from oodbench.scoring.fitting.rows import Rows
from oodbench.scoring.fitting.statistics import BLOCK, Change, unit

CHUNK = 64
"""Images that are compared with a bank at once."""
SPARE = 8
"""Further candidates that are compared again in float64."""
MOST = 200_000
"""Images that are drawn of more, where all must be in memory at once."""


@dataclass
class BankDetector(Detector):
    """Base of detectors that compare images with a part of the training images."""

    needs = Need.FEATURES
    fitted_on = "train"

    share: float = 0.0
    """Share of the training images that is drawn at random, at most 1. 0 draws all of
    up to 100,000 images, and of more 1 %, but at least 10,000."""
    seed: int = 0
    """Of the draw."""
    fitted_images: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be from 0 to 1, got {self.share}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    def draw(self, known: Known, most: int | None = None) -> Tensor:
        """Returns the places of the images drawn, and keeps their number."""
        places = drawn(len(known), self.share, self.seed, most)
        self.fitted_images = len(places)
        return places


@dataclass(frozen=True)
class UnitFeatures:
    """Statistic: the features of the images drawn, each scaled to length 1, `[M, D]`.

    The parameters are those of `drawn`.
    """

    share: float
    seed: int
    most: int | None = None

    def __call__(self, known: Known) -> Tensor:
        """Returns the features, in the type of the network's."""
        places = drawn(len(known), self.share, self.seed, self.most)
        return taken(known.features, places, unit)


def drawn(images: int, share: float, seed: int, most: int | None = None) -> Tensor:
    """Returns the places of images drawn at random, ascending, at least one.

    Args:
        images: The number of all.
        share: Of the images, at most 1; 0 as in `BankDetector`.
        seed: Of the draw; the global random numbers stay as they are.
        most: The largest number of images to draw.

    Raises:
        ValueError: There are no images.
    """
    if not images:
        raise ValueError("there are no training images")
    if share:
        count = max(1, round(share * images))
    else:
        count = images if images <= 100_000 else max(10_000, round(0.01 * images))
    count = min(count, most or count)
    if count == images:
        return torch.arange(images)
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.sort(rng.choice(images, count, replace=False)))


def check_k(k: int, bank: Tensor) -> None:
    """Raises ValueError if the bank has fewer images than k."""
    if k > len(bank):
        raise ValueError(f"k is {k}, the training images in the bank {len(bank)}")


def mean_of_largest(rows: Tensor, bank: Tensor, k: int, weights: Tensor) -> Tensor:
    """Returns the mean of the k largest weighted cosines with a bank, `[N]`, float64.

    Args:
        rows: `[N, D]`, of length 1.
        bank: `[M, D]`, of length 1, on the same device.
        k: At most M.
        weights: `[M]`, float64, the factor of each cosine.
    """
    found = [_mean_of_largest(one, bank, k, weights) for one in rows.split(CHUNK)]
    return torch.cat(found)


def _mean_of_largest(rows: Tensor, bank: Tensor, k: int, weights: Tensor) -> Tensor:
    weighted = (rows.to(bank.dtype) @ bank.T) * weights.to(bank.dtype)
    places = weighted.topk(min(k + SPARE, len(bank))).indices
    candidates = bank[places].double()
    cosines = torch.einsum("nd,nkd->nk", rows.double(), candidates)
    return (cosines * weights[places]).topk(k).values.mean(1)


def taken(rows: Tensor, places: Tensor, change: Change | None = None) -> Tensor:
    """Returns the rows `[N, D]` at these places, `[M, D]`; in a file if they are large.

    Args:
        rows: Are not copied if all are taken without a change.
        places: `[M]`, ascending.
        change: Applied to blocks of the rows.
    """
    if len(places) == len(rows) and change is None:
        return rows
    found = Rows(len(places), rows[:0])
    for own in places.split(BLOCK):
        found.add(change(rows[own]) if change else rows[own])
    return found.whole
