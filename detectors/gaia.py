"""Abnormal gradients of the maps of inner blocks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Detector, Need, Outputs, Result
from oodbench.detectors._adascale import top_logit
from oodbench.detectors._checks import check_variant
from oodbench.detectors._head import LEAST, weights


def sum_of_features(result: Result) -> Tensor:
    """Returns Σ z, `[N]`."""
    if result.features is None:
        raise ValueError("the network has no features")
    return result.features.sum(1)


@dataclass
class GAIA(Detector):
    """−mean over the channels of all blocks of ḡ² / h, or of a share of gradients.

    Variant `average` (GAIA-A): ḡ is the mean over the channel's positions of the
    gradient of the sum of the features z, and h is the mean over the features of
    |∂ Σ_y ln p(y|x) / ∂z|. Variant `zero` (GAIA-Z): the squared share of the positions
    at which the gradient of the largest logit is not 0.

    The authors read the outputs of all batch norms, on ResNets for `average` those of
    the last two stages; --blocks names them. `zero` needs that, since the gradient is 0
    where a ReLU follows and cuts it off, not after one.

    Chen, Li, Qu, Wang, Wan and Xiao, GAIA: Delving into Gradient-based Attribution
    Abnormality for Out-of-distribution Detection, NeurIPS 2023, arXiv 2311.09620.
    """

    needs = Need.HEAD | Need.BLOCKS

    variant: str = "average"
    """average or zero."""

    def __post_init__(self) -> None:
        check_variant(self.variant, ("average", "zero"))
        is_average = self.variant == "average"
        self.objectives = (sum_of_features if is_average else top_logit,)

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the mean over channels, `[N]`, ≤ 0."""
        (objective,) = self.objectives
        gradients = [batch.map_gradient(b, objective).double() for b in batch.blocks]
        if self.variant == "zero":
            shares = [(own != 0).double().mean((2, 3)) for own in gradients]
            if all(bool((own == 1).all()) for own in shares):
                raise ValueError(
                    f"no gradient by the maps of {', '.join(batch.blocks)} is 0; name "
                    "the batch norms before a ReLU with --blocks"
                )
            return -torch.cat(shares, 1).square().mean(1)
        p = batch.logits.double().softmax(1)
        outer = (1 - p.shape[1] * p) @ weights(batch.head)
        inner = torch.cat([own.mean((2, 3)) for own in gradients], 1)
        return -inner.square().mean(1) / outer.abs().mean(1).clamp(min=LEAST)
