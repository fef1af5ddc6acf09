"""Divergence from the usual prediction of the nearest class."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Outputs
from oodbench.scoring.fitting.statistics import classes, group_means

_LOWEST = -745.0
"""About the logarithm of the smallest positive float64."""


@dataclass
class KLMatching(Detector):
    """−min_k KL(p(·|x) ‖ d_k).

    The template d_k is the mean softmax of the validation images that are predicted as
    class k. A class that is never predicted has no template. It has no parameters.

    OpenOOD gives such a class a one-hot template; the codes of ViM and GEN fit on
    training images; detectors (edadaltocg) compares with the predicted class alone.

    Hendrycks, Basart, Mazeika, Zou, Kwon, Mostajabi, Steinhardt and Song, Scaling
    Out-of-Distribution Detection for Real-World Settings, ICML 2022, arXiv 1911.11132.
    """

    fitted_on = "val"

    _templates: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the templates."""
        logits = known.logits
        if classes(known) < 2:
            raise ValueError("a divergence needs two classes, and the network has one")
        if not len(logits):
            raise ValueError("there are no images to make templates from")
        counts, means = group_means(logits, logits.argmax(1), classes(known), _softmax)
        self._templates = means[counts > 0]

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative divergence in nats, `[N]`, at most 0."""
        p = _softmax(batch.logits.double())
        crossed = -p @ self._templates.log().clamp(min=_LOWEST).T
        divergences = crossed - torch.special.entr(p).sum(1, keepdim=True)
        # A template without a class that the image may have is infinitely far; where
        # all are, which takes underflow, its share counts as the smallest number.
        is_far = (p > 0).double() @ (self._templates == 0).double().T > 0
        is_far &= ~is_far.all(1, keepdim=True)
        return -divergences.masked_fill(is_far, torch.inf).amin(1).clamp(min=0)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)
