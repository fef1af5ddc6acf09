"""Part of the features outside their principal space."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Outputs
from oodbench.detectors._residual import ResidualDetector


@dataclass
class Residual(ResidualDetector):
    """−‖Rᵀ (z − u)‖₂.

    u = −W⁺b is the origin that the head gives the features z. R spans all but the `dim`
    directions in which the training features vary most about u.

    The number of directions follows the authors' repository. OpenOOD takes 256 and
    fits on validation images.

    Wang, Li, Feng and Zhang, ViM: Out-Of-Distribution with Virtual-logit Matching,
    CVPR 2022, arXiv 2203.10807.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative length outside the principal space, `[N]`."""
        return -self._space.residuals(batch.features)
