"""Sum of the energies of all classes, each as a class for itself."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs


@dataclass
class JointEnergy(Detector):
    """Σ_y log(1 + exp(f(x)[y])).

    It is meant for networks with several labels per image, where each logit is a
    classifier of its own. On softmax networks a constant added to all logits changes
    it, and it counts every class with a positive logit. It has no parameters.

    Wang, Liu, Bocchieri and Li, Can multi-label classification networks know what they
    don't know?, NeurIPS 2021.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the joint energy, `[N]`, at least 0."""
        logits = batch.logits.double()
        # Not softplus, which drops e^(-f) from f = 20 on.
        return logits.logaddexp(logits.new_zeros(())).sum(1)
