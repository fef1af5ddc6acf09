"""Log density of the features beside that of the style of an early map."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._bank import MOST, drawn, taken
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._mixture import Mixture, mixture


def style(outputs: Outputs) -> Tensor:
    """Returns mean and variance of each channel of the first block's map, `[N, 2C]`."""
    maps = outputs.map(outputs.blocks[0])
    return torch.cat([maps.mean((2, 3)), maps.var((2, 3))], 1)


@dataclass
class SEM(Detector):
    """log p(z) − weight · log q(s), with features z and the style s of an early map.

    p and q are mixtures of Gaussians with one covariance, fitted by EM without labels
    to the first `size` principal components of at most 200,000 training images. The
    style is mean and variance of each channel of the first block's map; to divide by
    its density takes out of the score what is style alone. Both are up to a constant.

    The form and the defaults are those of a configuration for CIFAR-10 in OpenOOD, the
    repository of the paper's authors; others there have a weight from 1e-6 to 1e-2. It
    takes exponentials, so that all far images tie; here all stays in logarithms. The
    paper itself was not read.

    Yang, Zhou and Liu, Full-Spectrum Out-of-Distribution Detection, 2022, arXiv
    2204.05306.
    """

    needs = Need.FEATURES | Need.BLOCKS
    summaries = (style,)
    fitted_on = "train"

    components: int = 10
    """Of the mixture of features, at least 1."""
    styles: int = 3
    """Components of the mixture of styles, at least 1."""
    size: int = 50
    """Principal components of each at most, at least 1."""
    weight: float = 1e-4
    """At least 0."""
    seed: int = 0
    """Of the first components of EM, and of the draw."""
    fitted_images: int = field(init=False, repr=False)
    _features: Mixture = field(init=False, repr=False)
    _style: Mixture = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_at_least(self, components=1, styles=1, size=1, weight=0, seed=0)
        if not math.isfinite(self.weight):
            raise ValueError(f"weight must be finite, got {self.weight}")

    def fit(self, known: Known) -> None:
        """Keeps both mixtures."""
        places = drawn(len(known), 1.0, self.seed, MOST)
        self.fitted_images = len(places)
        self._features, self._style = (
            mixture(taken(rows, places), components, self.size, self.seed)
            for rows, components in (
                (known.features, self.components),
                (known.summary(style), self.styles),
            )
        )

    def score(self, batch: Outputs) -> Tensor:
        """Returns the difference of log densities, `[N]`."""
        low = self._style.log_density(batch.summary(style))
        return self._features.log_density(batch.features) - self.weight * low
