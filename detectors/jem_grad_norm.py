"""Norm of the gradient of log p(x) by the pixels."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs
from oodbench.scoring.batch import log_px


@dataclass
class JEMGradNorm(Detector):
    """−‖∂ log p(x) / ∂x‖₂, the JEM paper's approximate mass.

    The norm is over all pixels of an image, with pixels in [-1, 1] as in the paper's
    code. It does not depend on the network's own normalisation.

    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is
    Secretly an Energy Based Model and You Should Treat it Like One, ICLR 2020,
    arXiv 1912.03263.
    """

    needs = Need.GRADIENT
    objectives = (log_px,)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative norm, `[N]`, at most 0."""
        # Pixels in [-1, 1] span twice the range of those in [0, 1].
        gradient = batch.gradient(log_px).flatten(1) / 2
        return -gradient.double().norm(dim=1)
