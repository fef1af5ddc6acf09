"""Control: low-level statistics of the pixels."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs


def statistics(outputs: Outputs) -> Tensor:
    """Returns six low-level statistics of each image, `[N, 6]`, float64."""
    as_rows = torch.contiguous_format
    pixels = outputs.inputs.to(torch.float64, memory_format=as_rows)
    flat = pixels.flatten(1)
    mean = flat.mean(1, keepdim=True)
    columns = [
        mean[:, 0],
        (flat - mean).norm(dim=1) / math.sqrt(flat.shape[1] - 1),
        pixels.diff(dim=3).abs_().flatten(1).mean(1),
        pixels.diff(dim=2).abs_().flatten(1).mean(1),
        (flat < 0.05).sum(1).double() / flat.shape[1],
        (flat > 0.95).sum(1).double() / flat.shape[1],
    ]
    return torch.stack(columns, 1)


@dataclass
class PixelStats(Detector):
    """Negative squared Mahalanobis distance of six statistics to the training images'.

    The statistics of an image: mean and deviation of its pixels, mean absolute
    difference of horizontal and of vertical neighbours, and the shares of pixels below
    0.05 and above 0.95. A control: it does not use the network. Where it separates two
    sets, brightness, contrast or smoothness alone separate them.
    """

    needs = Need.INPUTS
    summaries = (statistics,)
    fitted_on = "train"
    control = True

    _mean: Tensor = field(init=False, repr=False)
    _precision: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps mean and inverse covariance of the training images' statistics."""
        values = known.summary(statistics)
        self._mean = values.mean(0)
        # The pseudo-inverse leaves out statistics that never vary.
        self._precision = torch.linalg.pinv(values.T.cov(), hermitian=True)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative squared distance, `[N]`, at most 0."""
        values = batch.summary(statistics) - self._mean
        return -torch.einsum("ni,ij,nj->n", values, self._precision, values)
