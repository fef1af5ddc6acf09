"""Log density of a Gaussian mixture with one component per class."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._class_covariances import check_sizes, regular, scatter_about
from oodbench.detectors._gaussian import Gaussians
from oodbench.scoring.fitting import statistics


@dataclass
class GMM(Detector):
    """log Σ_k π_k N(z; μ_k, Σ_k), with features z.

    The mixture has a Gaussian for each class with training images: π_k is its share of
    the images, μ_k its mean, and Σ_k its covariance, divided by its number of images,
    plus `ridge` times the identity. All stays in logarithms; OpenOOD takes the
    exponential, so that all far images tie.

    The defaults are those of pytorch-ood's detector of this name. OpenOOD's fits the
    components without labels.

    As in pytorch-ood 0.4.0; see also Yang, Zhou and Liu, Full-Spectrum
    Out-of-Distribution Detection, 2022, arXiv 2204.05306.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    covariance: str = "class"
    """With `class` each class has its own; with `tied` all have the one within them."""
    ridge: float = 1e-6
    """At least 0, in squared units of the features."""
    _parts: list[Gaussians] = field(init=False, repr=False)
    _constants: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.covariance not in ("class", "tied"):
            raise ValueError(
                f"covariance must be class or tied, got {self.covariance!r}"
            )
        if not 0 <= self.ridge < math.inf:
            raise ValueError(f"ridge must be at least 0, got {self.ridge}")

    def fit(self, known: Known) -> None:
        """Keeps the mixture."""
        counts, means = known.shared(statistics.class_means)
        present, (images, size) = counts.nonzero()[:, 0], known.features.shape
        if not images:
            raise ValueError("there are no training images to fit a mixture to")
        if self.covariance == "tied":
            within = known.shared(statistics.class_moments).within
            self._parts = [regular(means[present], within / images, self.ridge)]
        else:
            check_sizes(counts[present], size)
            self._parts = [self._class(known, int(k), means[k]) for k in present]
        # The rows of the root are orthogonal, with the lengths λ^−½.
        halves = [part.root.norm(dim=1).log().sum() for part in self._parts]
        logs = (counts[present].double() / images).log() + torch.stack(halves)
        self._constants = logs - size / 2 * math.log(2 * math.pi)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log density, `[N]`."""
        squares = torch.cat([part.squared(batch.features) for part in self._parts], 1)
        return (self._constants - squares / 2).logsumexp(1)

    def _class(self, known: Known, number: int, mean: Tensor) -> Gaussians:
        features = known.features[statistics.class_numbers(known) == number]
        covariance = scatter_about(features, mean) / len(features)
        return regular(mean[None], covariance, self.ridge)
