"""Largest angle between the features and their projections onto the boundaries."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._head import LEAST, check_classes, gaps, weights
from oodbench.scoring.fitting.statistics import class_means


@dataclass
class ORA(Detector):
    """max over c ≠ ĉ of the angle between z − μ and z_c − μ, divided by π.

    z_c is the projection of the features z onto the boundary between the predicted
    class ĉ and the class c: z − (f_ĉ − f_c) (w_ĉ − w_c) / ‖w_ĉ − w_c‖₂². μ is the mean
    of the class means of the training features, each class counting equally; classes
    without images are left out. An angle with a vector of length 0 counts as 0, as does
    a class with the same weights as ĉ.

    There are no parameters.

    Demirel, Fumero and Locatello, Out-of-Distribution Detection with Relative Angles,
    NeurIPS 2025, arXiv 2410.04525.
    """

    needs = Need.FEATURES | Need.HEAD | Need.LABELS
    fitted_on = "train"

    _mean: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the mean of the class means."""
        check_classes(known)
        found = known.shared(class_means)
        self._mean = found.means[found.counts > 0].mean(0)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the largest angle in units of π, `[N]`, 0 … 1."""
        drops, lengths = gaps(batch)
        away = batch.features.double() - self._mean
        length = away.norm(dim=1, keepdim=True)
        inner = (away / length.clamp(min=LEAST)) @ weights(batch.head).T
        # The step to the boundary has this part along z − μ, the rest across it.
        along = inner.gather(1, batch.logits.argmax(1)[:, None]) - inner
        across = (lengths.square() - along.square()).clamp(min=0).sqrt()
        steps = drops / lengths.square().clamp(min=1e-300)
        angles = torch.atan2(steps * across, length - steps * along)
        is_undefined = (lengths == 0) | (length == 0)
        return angles.masked_fill(is_undefined, 0).amax(1) / math.pi
