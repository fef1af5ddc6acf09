"""Divergence of features and of perturbed logits from those of training images."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from oodbench import Known, Need, Outputs
from oodbench.detectors._bank import BankDetector, taken
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._head import weights
from oodbench.detectors._histograms import Histograms, mean_histogram
from oodbench.scoring.fitting.statistics import in_blocks

OF_FEATURES, OF_LOGITS = (4, 0.01), (15, 0.025)  # window, floor of histograms
VALUES = 2**22  # perturbed logits in memory at once


@dataclass
class WeiPer(BankDetector):
    """−(d + λ₁ d̃ − λ₂ p̃), WeiPer with the divergence of histograms (WeiPer+KLD).

    d is KL(p ‖ q) + KL(q ‖ p) of the histogram of an image's features and the mean one
    of the training images. d̃ is that of the logits of r perturbed heads, with rows
    w + δ ‖w‖ ε, ε random of length 1. p̃ is their mean maximum softmax probability.

    The authors' code draws a new perturbation for each batch; here it is one, from the
    seed. They choose the parameters by OOD images. The heads take 8 r K D bytes.

    Granz, Heurich and Landgraf, WeiPer: OOD Detection using Weight Perturbations of
    Class Projections, NeurIPS 2024, arXiv 2405.17164.
    """

    needs = Need.FEATURES | Need.HEAD
    chosen_on = dict.fromkeys(("delta", "lambda1", "lambda2"), "OOD validation images")

    repeats: int = 100
    """r, at least 1."""
    delta: float = 1.8
    """δ, at least 0."""
    lambda1: float = 2.5
    lambda2: float = 0.1
    _weight: Tensor = field(init=False, repr=False)
    _features: Histograms = field(init=False, repr=False)
    _logits: Histograms = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, repeats=1, delta=0)

    def fit(self, known: Known) -> None:
        """Keeps the perturbed heads and the mean histograms."""
        weight, features = weights(known.head), taken(known.features, self.draw(known))
        rng = np.random.default_rng(self.seed)
        noise = torch.from_numpy(rng.normal(size=(self.repeats, *weight.shape)))
        noise *= weight.norm(dim=1, keepdim=True) / noise.norm(dim=2, keepdim=True)
        self._weight = noise.mul_(self.delta).add_(weight)
        self._features = mean_histogram(lambda: (z for _, z in in_blocks(features)))
        self._logits = mean_histogram(
            lambda: (f.flatten(1) for _, f in self._parts(features, known.head))
        )

    def score(self, batch: Outputs) -> Tensor:
        """Returns the score, `[N]`."""
        found = []
        for z, f in self._parts(batch.features, batch.head):
            of_features = self._features.divergence(z, *OF_FEATURES)
            of_logits = self._logits.divergence(f.flatten(1), *OF_LOGITS)
            p = f.softmax(2).amax(2).mean(1)
            found.append(self.lambda2 * p - of_features - self.lambda1 * of_logits)
        return torch.cat(found)

    def _parts(self, z: Tensor, head: nn.Linear) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields features `[N, D]` and logits of the perturbed heads `[N, r, K]`."""
        weight, bias = self._weight.flatten(0, 1), head.bias
        for part in z.split(max(1, VALUES // len(weight))):
            logits = (part.double() @ weight.T).unflatten(1, (self.repeats, -1))
            yield part.double(), logits if bias is None else logits + bias.double()
