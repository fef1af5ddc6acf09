"""Mahalanobis distance after a small step on all pixels."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs, Result
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._gaussian import Classes, Gaussians, check_cutoff


@dataclass
class MahalanobisODIN(Detector):
    """The score s of `mahalanobis` at x′ = x + ε · sign ∇s(x).

    The step brings an image closer to its nearest class; it does so more for known
    images than for others. ε is the step of a pixel in [0, 1], as in the authors' code,
    which chooses it from 0 to 0.01 by OOD images; 0.002 is pytorch-ood's default.
    Pixels may leave [0, 1]. The authors' other layers are left out.

    Lee, Lee, Lee and Shin, A Simple Unified Framework for Detecting Out-of-Distribution
    Samples and Adversarial Attacks, NeurIPS 2018, arXiv 1807.03888.
    """

    needs = Need.FEATURES | Need.LABELS | Need.NETWORK | Need.INPUTS | Need.GRADIENT
    fitted_on = "train"

    epsilon: float = 0.002
    """The step of a pixel in [0, 1], at least 0; 0 for none."""
    cutoff: float = 0.0
    """As in `mahalanobis`."""
    _classes: Gaussians = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_at_least(self, epsilon=0)
        check_cutoff(self.cutoff)
        # Equal to itself alone, since it depends on what this detector has learnt.
        self._objective = self.closeness
        self.objectives = (self._objective,) if self.epsilon else ()

    def fit(self, known: Known) -> None:
        """Keeps the class means and the covariance."""
        self._classes = known.shared(Classes(cutoff=self.cutoff))

    def closeness(self, outputs: Result | Outputs) -> Tensor:
        """Returns minus the squared distance to the nearest class, `[N]`, ≤ 0."""
        assert outputs.features is not None
        return -self._classes.squared(outputs.features).amin(1)

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the squared distance after the step, `[N]`, ≤ 0."""
        if self.epsilon:
            step = self.epsilon * batch.gradient(self._objective).sign()
            batch = batch.run(batch.inputs + step)
        return self.closeness(batch)
