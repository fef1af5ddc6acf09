"""Fisher–Rao distance of the prediction from all classes."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._checks import check_temperature
from oodbench.scoring.fitting.statistics import class_numbers, classes, group_means


@dataclass
class Igeood(Detector):
    """Σ_c d(softmax(f(x) / T), q_c) with d(p, q) = 2 arccos Σ_y √(p_y q_y).

    q_c is the softmax of the mean logits / T of the training images of class c. d is
    the Fisher–Rao distance, from 0 to π. A confident prediction is near one class and
    far from all others, so that a large sum is in-distribution.

    The authors find the centre of each class by gradient steps, and tune T and a
    perturbation of the pixels; here the centre is the mean, as in detectors
    (edadaltocg), T is 1, and there is no perturbation. A class without training images
    is left out.

    Gomes, Alberge, Duhamel and Piantanida, Igeood: An Information Geometry Approach to
    Out-of-Distribution Detection, ICLR 2022, arXiv 2203.07798.
    """

    needs = Need.LABELS
    fitted_on = "train"

    temperature: float = 1.0
    """T > 0, of images and centres."""
    _roots: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def fit(self, known: Known) -> None:
        """Keeps √q of each class that has images."""
        labels = class_numbers(known)
        counts, centres = group_means(known.logits, labels, classes(known))
        if (counts > 0).sum() < 2:
            raise ValueError(
                f"distances need images of two classes, and there are "
                f"{int((counts > 0).sum())}"
            )
        self._roots = self._root(centres[counts > 0])

    def score(self, batch: Outputs) -> Tensor:
        """Returns the sum of the distances, `[N]`, from 0 to K π."""
        roots = self._root(batch.logits)
        apart = torch.cdist(
            roots,
            self._roots,
            compute_mode="donot_use_mm_for_euclid_dist",
        )
        # The same as the arccos, and exact near 0.
        return 4 * (apart / 2).clamp(max=0.5**0.5).arcsin().sum(1)

    def _root(self, logits: Tensor) -> Tensor:
        # Half of the logarithm, so that small probabilities do not underflow.
        return ((logits.double() / self.temperature).log_softmax(1) / 2).exp()
