"""Unnormalised log-density of a JEM."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs


@dataclass
class LogPx(Detector):
    """log p(x) + log Z: the scalar head of an unconditional JEM, else −E(x).

    On a conditional JEM, and on any plain classifier, it equals `energy` at T = 1; a
    classifier trained by cross-entropy alone leaves it arbitrary.

    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is
    Secretly an Energy Based Model and You Should Treat it Like One, ICLR 2020,
    arXiv 1912.03263.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns log p(x) up to a constant, `[N]`."""
        return batch.log_px.double()
