"""Distance in the gradients of a prototype of unknown images."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Need, Outputs
from oodbench.detectors._bank import BankDetector, taken
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._uniform_noise import OnNoise
from oodbench.scoring.fitting.nearest import Bank
from oodbench.scoring.fitting.statistics import correct_means, over_blocks


@dataclass
class GROOD(BankDetector):
    """−‖g − nearest g of the training images‖², g the gradient of a prototype o.

    The prototypes of the classes are the mean features of the training images that are
    classified correctly; o is the mean feature of images of uniform noise. With the
    probabilities π = softmax of minus the distances of z to all of them, the gradient
    of the cross-entropy by o is g = π_o (z − o) / ‖z − o‖₂, and 0 at o. The nearest is
    that of an image classified correctly. A class without any has no prototype.

    The authors' code also has prototypes of mixed images and of OOD validation images,
    and it blurs the noise and keeps the images of least energy.

    ElAraby, Sahoo, Pequignot, Novello and Paull, GROOD: GRadient-aware
    Out-Of-Distribution detection, TMLR 2025, arXiv 2312.14427.
    """

    needs = Need.FEATURES | Need.LABELS | Need.NETWORK | Need.INPUTS

    images: int = 1000
    """The number of images of noise, at most that of the training images."""
    seed: int = 0
    """Of the noise and of the draw."""
    _prototypes: Tensor = field(init=False, repr=False)
    _bank: Bank = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, images=1)
        self._noise = OnNoise(self.seed, self.images)
        self.summaries = (self._noise,)

    def fit(self, known: Known) -> None:
        """Keeps the prototypes and the gradients of correctly classified images."""
        places = self.draw(known)
        right = (known.logits.argmax(1) == known.labels)[places]
        if not right.any():
            raise ValueError(
                f"the network classifies none of {len(places)} training images "
                "correctly"
            )
        found = known.shared(correct_means)
        is_noise = known.numbers < self.images
        noise = known.summary(self._noise)[is_noise].double().mean(0)
        self._prototypes = torch.cat([found.means[found.counts > 0], noise[None]])
        bank = taken(known.features, places[right])
        self._bank = Bank.of(over_blocks(bank, self._gradients))

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the squared distance, `[N]`, ≤ 0."""
        gradients = self._gradients(batch.features)
        return -self._bank.nearest(gradients).distances.square()

    def _gradients(self, features: Tensor) -> Tensor:
        away = features.double() - self._prototypes[-1]
        exact = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(features.double(), self._prototypes, compute_mode=exact)
        unknown = (-distances).softmax(1)[:, -1:]
        return unknown * away / away.norm(dim=1, keepdim=True).clamp(min=1e-12)
