"""Bins of neuron states, and how well training images cover them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from oodbench.detectors._checks import check_at_least
from oodbench.detectors._head import weights

BASE = 1000.0  # the larger, the narrower are bins in the middle


@dataclass(frozen=True)
class Bins:
    """The neuron states of a layer, sigmoid(α · product), in bins narrow near ½."""

    alpha: float
    """Steepness, above 0."""
    enough: int
    """The training images that cover a bin in full, at least 1."""
    bins: int
    """M, even and at least 4; there are M − 2 bins."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < float("inf"):
            raise ValueError(f"alpha must be positive and finite, got {self.alpha}")
        if self.bins < 4 or self.bins % 2:
            raise ValueError(f"bins must be even and at least 4, got {self.bins}")
        check_at_least(self, enough=1)

    @classmethod
    def of_layers(cls, alpha: str, enough: str, bins: str) -> list[Bins]:
        """Returns the bins of several layers, whose numbers are separated by /."""
        texts = [text.split("/") for text in (alpha, enough, bins)]
        try:
            layers = [
                (float(a), int(o), int(m)) for a, o, m in zip(*texts, strict=True)
            ]
        except ValueError:
            raise ValueError(
                "alpha, enough and bins must each give one number per layer, separated "
                f"by /, got {alpha!r}, {enough!r} and {bins!r}"
            ) from None
        return [cls(*layer) for layer in layers]

    def covered_by(self, products: Tensor) -> Coverage:
        """Returns the coverage by images with these products `[N, D]`."""
        half = np.log(np.linspace(1, BASE**0.5, self.bins // 2)) / np.log(BASE)
        edges = torch.from_numpy(np.concatenate([half[1:-1], 1 - half[:0:-1]]))
        size = products.shape[1] * (len(edges) + 1)
        places = _places(products, self.alpha, edges)
        counts = torch.bincount(places.flatten(), minlength=size).double()
        return Coverage(self.alpha, edges, (counts / self.enough).clamp(max=1))


class Coverage(NamedTuple):
    """The coverage of the bins of each neuron by training images."""

    alpha: float
    edges: Tensor
    """`[M − 3]`, between the bins."""
    shares: Tensor
    """`[D · (M − 2)]`, the coverage of the bins, neuron by neuron, in [0, 1]."""

    def mean(self, products: Tensor) -> Tensor:
        """Returns the mean coverage of the bins that images `[N, D]` are in, `[N]`."""
        return self.shares[_places(products, self.alpha, self.edges)].mean(1)


def _places(products: Tensor, alpha: float, edges: Tensor) -> Tensor:
    """Returns the places of states' bins among those of all neurons, `[N, D]`."""
    states = (alpha * products.double()).sigmoid()
    first = torch.arange(products.shape[1], device=states.device) * (len(edges) + 1)
    return torch.bucketize(states, edges, right=True) + first


def feature_products(features: Tensor, logits: Tensor, head: nn.Linear) -> Tensor:
    """Returns z · g, g the gradient of KL(uniform ‖ p) by the features z, `[N, D]`."""
    p = logits.double().softmax(1)
    return features.double() * ((p - 1 / p.shape[1]) @ weights(head))
