"""Energy of features that are pooled with their spread or by their maximum."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Need, Outputs
from oodbench.detectors._checks import check_variant
from oodbench.scoring.shaping import Shaping


@dataclass(frozen=True)
class Pooled:
    """Summary: the map of the last block, pooled in another way than by its mean."""

    variant: str
    gamma: float

    def __call__(self, outputs: Outputs) -> Tensor:
        """Returns the pooled map, `[N, D]`, float64.

        Raises:
            ValueError: The features are not the mean of the map.
        """
        block, features = outputs.blocks[-1], outputs.features.double()
        maps = outputs.map(block).double()
        mean = maps.mean((2, 3))
        if mean.shape != features.shape or not torch.allclose(mean, features, 1e-3):
            raise ValueError(
                f"the features are not the mean of the map of {block!r}, so that the "
                "head would not fit; name the block before the pooling with --blocks"
            )
        if self.variant == "max":
            return maps.amax((2, 3))
        return mean + self.gamma * maps.std((2, 3))


@dataclass
class Davis(Shaping):
    """LogSumExp_y of the logits of mean + γ · standard deviation of the last map.

    Mean and standard deviation are over the positions of each channel. The variant
    `max` takes the maximum instead. The features must be the mean of the last block's
    map. The authors' scripts use γ = 1 for ResNet-18 on CIFAR-10 and γ = 2 for
    ResNet-50 on ImageNet.

    Hassan, Ngo, Shafiq and Medvidovic, DAVIS: OOD Detection via Dominant Activations
    and Variance for Increased Separation, 2026, arXiv 2601.22703.
    """

    needs = Shaping.needs | Need.BLOCKS

    variant: str = "std"
    """std or max."""
    gamma: float = 1.0
    """At least 0; 0 leaves the features as they are. `max` has no use for it."""

    def __post_init__(self) -> None:
        check_variant(self.variant, ("std", "max"))
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be at least 0, got {self.gamma}")
        self.summaries = (Pooled(self.variant, self.gamma),)

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of the map that is pooled so."""
        return batch.shaped(batch.summary(*self.summaries))
