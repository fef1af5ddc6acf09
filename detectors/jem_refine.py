"""Gain in log p(x) by SGLD steps from the image."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Outputs
from oodbench.jem.refine import RefiningDetector


@dataclass
class JEMRefine(RefiningDetector):
    """log p(x) − log p(x′), x′ being x after SGLD steps, as in the JEM paper's code.

    An in-distribution image lies near a mode already and gains little. It costs `steps`
    more passes, shared with `jem_refine_grad` and `jem_refine_l2`.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative gain, `[N]`; at most about 0 unless steps overshoot."""
        return batch.log_px.double() - self.refined(batch).log_px.double()
