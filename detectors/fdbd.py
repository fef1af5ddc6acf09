"""Distance of the features to the decision boundaries."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._head import LEAST, check_classes, gaps
from oodbench.scoring.fitting.statistics import feature_mean


@dataclass
class FDBD(Detector):
    """mean over c ≠ ĉ of (f_ĉ − f_c) / ‖w_ĉ − w_c‖₂, divided by ‖z − μ‖₂.

    Each term is the distance of the features z to the boundary between the predicted
    class ĉ and the class c. μ is the mean training feature. A class whose weights equal
    those of ĉ has no boundary with it and is left out; without any boundary the score
    is 0.

    There are no parameters. The authors take the sum in place of the mean, which ranks
    images equally where no two classes have the same weights. OpenOOD can divide by
    ‖z‖₂ instead, which it chose on OOD images.

    Liu and Qin, Fast Decision Boundary based Out-of-Distribution Detector, ICML 2024,
    arXiv 2312.11536.
    """

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"

    _mean: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the mean feature."""
        check_classes(known)
        self._mean = known.shared(feature_mean)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the relative mean distance, `[N]`, at least 0."""
        drops, lengths = gaps(batch)
        has_boundary = lengths > 0
        terms = torch.where(has_boundary, drops / lengths.clamp(min=1e-300), 0.0)
        away = batch.features.double() - self._mean
        mean = terms.sum(1) / has_boundary.sum(1).clamp(min=1)
        return mean / away.norm(dim=1).clamp(min=LEAST)
