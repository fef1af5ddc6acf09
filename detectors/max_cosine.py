"""Cosine between the features and the nearest class mean."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.scoring.fitting import statistics


@dataclass
class MaxCosine(Detector):
    """max_k cos(z, μ_k), with features z and class means μ_k.

    It is 1 where the features point as the mean of some class. Features are not
    centred. Classes without training images are left out. `ctm` takes the predicted
    class instead of the nearest.

    There are no parameters. Known codes differ: the package `detectors` adds 1e-7 to
    the lengths. Here a vector of length 0 has the cosine 0.

    After Techapanurak, Suganuma and Okatani, Hyperparameter-Free Out-of-Distribution
    Detection Using Cosine Similarity, ACCV 2020, where the network is trained with
    cosines; here they are taken of any network's features.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _directions: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the directions of the class means."""
        found = known.shared(statistics.class_means)
        self._directions = statistics.unit(found.means[found.counts > 0])
        if not len(self._directions):
            raise ValueError("there are no training images to take class means of")

    def score(self, batch: Outputs) -> Tensor:
        """Returns the largest cosine, `[N]`, from −1 to 1."""
        cosines = statistics.unit(batch.features.double()) @ self._directions.T
        return torch.clamp(cosines.amax(1), -1, 1)
