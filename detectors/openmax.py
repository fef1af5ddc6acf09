"""Logits after taking away what extreme values of each class call unknown."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._weibull import SHIFT, tail_law
from oodbench.scoring.fitting import statistics


@dataclass
class OpenMax(Detector):
    """LogSumExp_y(f̂_y) − û, the log odds that the class is a known one.

    Of the `alpha` largest logits the i-th gives the share (alpha + 1 − i) / alpha · w
    of itself to the unknown: f̂ is what stays, û the sum of what is given. w of class k
    is the Weibull probability of a smaller distance than that of the logits to the mean
    logits of class k. The Weibull law is fitted by maximum likelihood to the largest
    distances of the correctly classified training images of the class.

    −P(unknown), the published score, orders images alike. A class with fewer than two
    correct images or without spread among the largest distances has w = 0. The method
    raises negative logits towards 0. The authors use the sum of Euclidean and cosine
    distance; here it is the Euclidean one, as in OpenOOD, which takes alpha 3.

    Bendale and Boult, Towards Open Set Deep Networks, CVPR 2016, arXiv 1511.06233.
    """

    needs = Need.LABELS
    fitted_on = "train"

    tail: int = 20
    """How many of the largest distances, at least 2."""
    alpha: int = 10
    """How many of the largest logits, at least 1; all where there are no more."""
    _laws: Tensor = field(init=False, repr=False)
    _means: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_at_least(self, tail=2, alpha=1)

    def fit(self, known: Known) -> None:
        """Keeps the mean logits and the law of each class."""
        logits, count = known.logits, statistics.classes(known)
        right = statistics.correct_classes(known)
        if (right == count).all():
            raise ValueError("no training image is classified right")
        means = statistics.group_means(logits, right, count + 1).means
        parts = (
            (block - means[right[start : start + len(block)]]).norm(dim=1)
            for start, block in statistics.in_blocks(logits)
        )
        away = torch.cat(list(parts))
        self._means = means[:-1]
        laws = [tail_law(away[right == k], self.tail) for k in range(count)]
        self._laws = torch.tensor(laws, dtype=torch.float64).T

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds of a known class, `[N]`."""
        logits = batch.logits.double()
        start, shape, place = self._laws
        exact = "donot_use_mm_for_euclid_dist"
        away = torch.cdist(logits, self._means, compute_mode=exact)
        x = ((away - start) / SHIFT).clamp(min=-1).log1p()
        w = -(-(shape * (x - place)).exp()).expm1()
        largest = logits.sort(dim=1, descending=True, stable=True).indices
        count = min(self.alpha, logits.shape[1])
        shares = 1 - torch.arange(count, dtype=w.dtype, device=w.device) / count
        shares = shares.expand(len(w), count)
        given = torch.zeros_like(w).scatter(1, largest[:, :count], shares)
        given = given * logits * w
        return (logits - given).logsumexp(1) - given.sum(1)
