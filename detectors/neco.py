"""Share of the standardised features within their principal space."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._spectrum import check_ratio, components
from oodbench.scoring.fitting import statistics


@dataclass
class NECO(Detector):
    """‖P z̃‖₂ / ‖z̃‖₂ · max_y f(x)[y].

    z̃ are the features, standardised by the mean and the standard deviation of each
    over the training images; features that are constant there are left out. P projects
    onto the principal components that explain a share `ratio` of their variance. The
    ratio of an image at the mean is 0.

    The authors multiply by the largest logit for some networks and not for others. The
    default share is that of the copy in ORA's code, which gives the same scores; the
    authors' own code was not read.

    Ben Ammar, Belkhir, Popescu, Manzanera and Franchi, NECO: NEural Collapse Based
    Out-of-distribution Detection, ICLR 2024, arXiv 2310.06823.
    """

    needs = Need.FEATURES
    fitted_on = "train"

    ratio: float = 0.9
    """The share of variance that the components explain, in (0, 1]."""
    times_max_logit: bool = True
    """Whether to multiply by the largest logit."""
    _mean: Tensor = field(init=False, repr=False)
    _std: Tensor = field(init=False, repr=False)
    _kept: Tensor = field(init=False, repr=False)
    _basis: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_ratio(self.ratio)

    def fit(self, known: Known) -> None:
        """Finds the principal components of the standardised features."""
        images, mean, scatter = known.shared(statistics.moments)
        std = (scatter.diagonal() / images).sqrt()
        # A constant feature's mean, and so its deviation, may be off by rounding.
        self._kept = (std > 1e-12 * mean.abs()).nonzero()[:, 0]
        if not len(self._kept):
            raise ValueError("all features are constant over the training images")
        self._mean, self._std = mean[self._kept], std[self._kept]
        covariance = scatter[self._kept][:, self._kept] / images
        covariance = covariance / torch.outer(self._std, self._std)
        values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
        count = components(values, self.ratio)
        if count == len(values) and not self.times_max_logit:
            raise ValueError(
                f"a ratio of {self.ratio} keeps all {count} components, so that all "
                f"scores would be 1"
            )
        self._basis = vectors[:, len(values) - count :]

    def score(self, batch: Outputs) -> Tensor:
        """Returns the share of z̃ in the principal space times the logit, `[N]`."""
        features = batch.features.double()
        scaled = (features[:, self._kept] - self._mean) / self._std
        length = scaled.norm(dim=1).clamp(min=1e-12)
        share = (scaled @ self._basis).norm(dim=1) / length
        return share * batch.logits.double().amax(1) if self.times_max_logit else share
