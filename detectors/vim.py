"""Energy minus a virtual logit, the part of the features outside a principal space."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Known, Outputs
from oodbench.detectors._residual import ResidualDetector
from oodbench.scoring.fitting.statistics import over_blocks


@dataclass
class ViM(ResidualDetector):
    """LogSumExp_y(f(x)[y]) − α ‖Rᵀ (z − u)‖₂.

    u = −W⁺b is the origin that the head gives the features z. R spans all but the `dim`
    directions in which the training features vary most about u. α is the mean largest
    logit over the mean length ‖Rᵀ (z − u)‖₂ of the training images.

    The number of directions follows the authors' repository. OpenOOD takes 256 or
    1000, as OOD images decide; other codes centre at the mean feature.

    Wang, Li, Feng and Zhang, ViM: Out-Of-Distribution with Virtual-logit Matching,
    CVPR 2022, arXiv 2203.10807.
    """

    _alpha: float = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Finds the directions and the scale of the virtual logit."""
        super().fit(known)
        space = self._space
        if space.rank <= space.dim:
            raise ValueError(
                f"dim is {space.dim}, the training features span {space.rank} "
                f"dimensions, so nothing is left outside the principal space"
            )
        largest = known.logits.amax(1).double().mean()
        if not largest > 0:
            raise ValueError(
                f"the largest logits of the training images are {largest:.4g} on "
                f"average; the virtual logit needs a positive average"
            )
        lengths = over_blocks(known.features, space.residuals)
        self._alpha = float(largest / lengths.mean())

    def score(self, batch: Outputs) -> Tensor:
        """Returns the energy minus the virtual logit, `[N]`."""
        energy = batch.logits.double().logsumexp(1)
        return energy - self._alpha * self._space.residuals(batch.features)
