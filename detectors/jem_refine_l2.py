"""Distance between an image and its end after SGLD steps."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Outputs
from oodbench.jem.refine import RefiningDetector


@dataclass
class JEMRefineL2(RefiningDetector):
    """−‖x − x′‖₂, x′ being x after SGLD steps, as in the JEM paper's code.

    An in-distribution image lies near a mode already and moves little. The distance is
    that of pixels in [-1, 1]. It costs `steps` more passes, shared with `jem_refine`
    and `jem_refine_grad`.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative distance, `[N]`, at most 0."""
        moved = batch.inputs.double() - self.refined(batch).inputs.double()
        # Pixels in [-1, 1] span twice the range of those in [0, 1].
        return -2 * moved.flatten(1).norm(dim=1)
