"""Change of the norm of ∇ log p(x) by SGLD steps from the image."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Outputs
from oodbench.jem.refine import RefiningDetector
from oodbench.scoring.batch import log_px


@dataclass
class JEMRefineGrad(RefiningDetector):
    """‖∇ log p(x′)‖₂ − ‖∇ log p(x)‖₂, x′ being x after SGLD steps.

    The JEM paper's code subtracts in this order: an image whose gradient the steps
    shrink was far from a mode. Gradients are by pixels in [-1, 1], as in
    `jem_grad_norm`. It costs `steps` more passes, shared with `jem_refine` and
    `jem_refine_l2`.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the difference of the norms, `[N]`."""
        return _norm(self.refined(batch)) - _norm(batch)


def _norm(batch: Outputs) -> Tensor:
    # Pixels in [-1, 1] span twice the range of those in [0, 1].
    return batch.gradient(log_px).flatten(1).double().norm(dim=1) / 2
