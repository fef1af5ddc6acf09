"""Energy through the features and weights that matter to the predicted class."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from oodbench import Known, Need, Outputs
from oodbench.detectors._head import logits_of, weights
from oodbench.scoring.fitting.statistics import class_means, feature_mean
from oodbench.scoring.shaping import Shaping, check_percentile


@dataclass
class LINe(Shaping):
    """LogSumExp_y of the logits of clipped features, most weights set to 0.

    A_kd, the contribution of feature d to class k, is W_kd times the mean of z_d over
    the training images of class k; over all of them if the class has none. For an image
    predicted as ĉ from its clipped features, features stay whose A_ĉd is above a
    percentile of row ĉ, and weights whose |A_ĉd| W_kd is above one of them all. At 0
    all stay.

    The defaults are the authors' for CIFAR-10. For CIFAR-100 they take 10 for features,
    for ImageNet 10, 10 and a clip of 0.8. Behind this shaping, the head that detectors
    read is the network's own.

    Ahn, Park and Kim, LINe: Out-of-Distribution Detection by Leveraging Important
    Neurons, CVPR 2023, arXiv 2303.13995.
    """

    needs = Need.FEATURES | Need.HEAD | Need.LABELS
    fitted_on = "train"

    weight_percentile: float = 90.0
    """From 0 to 100, by linear interpolation."""
    feature_percentile: float = 90.0
    """From 0 to 100, by linear interpolation."""
    clip: float = 1.0
    """The largest value of a feature, above 0."""
    _contributions: Tensor = field(init=False, repr=False)
    _limits: Tensor = field(init=False, repr=False)
    _stays: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_percentile("weight_percentile", self.weight_percentile)
        check_percentile("feature_percentile", self.feature_percentile)
        if not self.clip > 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")

    def fit(self, known: Known) -> None:
        """Keeps the contributions and, for each class, what stays."""
        means = known.shared(class_means).filled(known.shared(feature_mean))
        weight = weights(known.head)
        self._contributions = weight * means
        self._stays = _above(self._contributions, self.feature_percentile)
        gains = (row.abs() * weight for row in self._contributions)
        limits = [np.percentile(one, self.weight_percentile) for one in gains]
        self._limits = torch.tensor(limits, dtype=torch.float64)
        if self.weight_percentile == 0:
            self._limits.fill_(-torch.inf)

    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs of what stays."""
        weight, clipped = (
            weights(batch.head),
            batch.features.double().clamp(max=self.clip),
        )
        top = logits_of(batch.head, clipped).argmax(1)
        features = clipped * self._stays[top]
        logits = torch.zeros_like(batch.logits, dtype=torch.float64)
        for c in top.unique().tolist():
            gains = self._contributions[c].abs() * weight
            kept = weight * (gains > self._limits[c].item())
            logits[top == c] = features[top == c] @ kept.T
        if batch.head.bias is not None:
            logits = logits + batch.head.bias.double()
        return batch.shaped(features, logits=logits)


def _above(rows: Tensor, percentile: float) -> Tensor:
    limits = np.percentile(rows, percentile, axis=1, keepdims=True)
    return (rows > torch.from_numpy(limits)) | torch.tensor(percentile == 0)
