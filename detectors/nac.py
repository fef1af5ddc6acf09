"""Coverage of the image's neuron states by those of training images."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._bank import part
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._head import weights

BASE = 1000.0  # the larger, the narrower are bins in the middle


@dataclass
class NAC(Detector):
    """Mean over features of min(n / enough, 1), n the training images in the same bin.

    The state of a feature z is the sigmoid of α z g, with g = Wᵀ(p − 1/K) the gradient
    of KL(uniform ‖ p). Its values in [0, 1] are put into bins that are narrow near ½;
    n counts the training images whose state of this feature is in the image's bin.

    The authors add earlier layers; of the last one, the gradient has a closed form. The
    defaults are theirs for CIFAR-10 (for ImageNet α = 3000, enough = 10), chosen by OOD
    images. They count 1,000 images, as many of each class; here the draw is random.

    Liu, Tian, Li, Zhang and Zhang, Neuron Activation Coverage: Rethinking
    Out-of-distribution Detection and Generalization, ICLR 2024, arXiv 2306.02879.
    """

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"

    alpha: float = 100.0
    """Steepness α of the sigmoid, above 0."""
    enough: int = 50
    """O, the training images that cover a bin in full, at least 1."""
    bins: int = 50
    """M, even and at least 4; there are M − 2 bins."""
    images: int = 1000
    """The number of training images that are counted, at most; at least 1."""
    seed: int = 0
    """Of their draw."""
    _coverage: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.alpha < float("inf"):
            raise ValueError(f"alpha must be positive and finite, got {self.alpha}")
        if self.bins < 4 or self.bins % 2:
            raise ValueError(f"bins must be even and at least 4, got {self.bins}")
        check_at_least(self, enough=1, images=1, seed=0)

    def fit(self, known: Known) -> None:
        """Keeps the coverage of each feature's bins."""
        features, logits = (
            part(each, 1.0, self.seed, self.images)
            for each in (known.features, known.logits)
        )
        places = self._places(features, logits, known.head)
        size = features.shape[1] * (self.bins - 2)
        counts = torch.bincount(places.flatten(), minlength=size).double()
        self._coverage = (counts / self.enough).clamp(max=1)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the mean coverage, `[N]`, in [0, 1]."""
        places = self._places(batch.features, batch.logits, batch.head)
        return self._coverage[places].mean(1)

    def _places(self, features: Tensor, logits: Tensor, head: nn.Linear) -> Tensor:
        """Returns the place of each state's bin among those of all features."""
        p = logits.double().softmax(1)
        gradient = (p - 1 / p.shape[1]) @ weights(head)
        states = (self.alpha * features.double() * gradient).sigmoid()
        half = np.log(np.linspace(1, BASE**0.5, self.bins // 2)) / np.log(BASE)
        inner = np.concatenate([half[1:-1], 1 - half[:0:-1]])
        found = torch.bucketize(states, torch.from_numpy(inner).to(states), right=True)
        first = torch.arange(features.shape[1], device=states.device) * (self.bins - 2)
        return found + first
