"""Part of the features outside their principal space."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._residual import Residuals, Space, check_dim


@dataclass
class Residual(Detector):
    """−‖Rᵀ (z − u)‖₂.

    u = −W⁺b is the origin that the head gives the features z. R spans all but the `dim`
    directions in which the training features vary most about u.

    The number of directions follows the authors' repository. OpenOOD takes 256 and
    fits on validation images.

    Wang, Li, Feng and Zhang, ViM: Out-Of-Distribution with Virtual-logit Matching,
    CVPR 2022, arXiv 2203.10807.
    """

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"

    dim: int = 0
    """Of the principal space; 0 for 1000 of 2048 or more features, 512 of 768 or more,
    else half of them."""
    _space: Space = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_dim(self.dim)

    def fit(self, known: Known) -> None:
        """Finds the directions."""
        self._space = known.shared(Residuals(self.dim))

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative length outside the principal space, `[N]`."""
        return -self._space.residuals(batch.features)
