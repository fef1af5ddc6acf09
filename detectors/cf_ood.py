"""Smallest neighbourhoods of training images that hold the image."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.detectors._bank import BankDetector, UnitFeatures
from oodbench.scoring.fitting import statistics

CHUNK = 256  # images that are compared with the bank at once
PARTS = (0.001, 0.1, 100), (0.105, 0.5, 81), (0.51, 0.99, 49), (1, 1, 1)
KAPPAS = torch.from_numpy(np.concatenate([np.linspace(*one) for one in PARTS]))
"""The values of κ in the author's code, and 1 for images that none holds."""
# By differences, since equal features must be at distance 0 exactly.
_distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")


@dataclass
class CFOOD(BankDetector):
    """−(smallest κ at which x is among the κ·n nearest of a share `hosts` of the bank).

    Each image r of the bank reaches as far as its own (⌊κn⌋)-th neighbour, the nearest
    at least; n is the size of the bank. r holds x if ‖x̂ − r̂‖ is at most that, with
    features of length 1. κ goes over 230 values from 0.001 to 0.99; the score is −1
    where even the last does not do. Scores are coarse, so many images tie.

    `hosts` is k in the author's code in OpenOOD, which takes a random 10 % of the
    training images. `most` gives as many for CIFAR-10. The paper itself was not read.

    Angiulli, Fassetti and Zupi, CF-OOD, SISAP 2025.
    """

    hosts: float = 0.01
    """Share of the bank that must hold the image, above 0 and at most 1."""
    most: int = 5_000
    """Largest size of the bank, at least 2; the time of `fit` goes by its square."""
    _bank: Tensor = field(init=False, repr=False)
    _reach: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.hosts <= 1:
            raise ValueError(f"hosts must be above 0 and at most 1, got {self.hosts}")
        if self.most < 2:
            raise ValueError(f"most must be at least 2, got {self.most}")

    def fit(self, known: Known) -> None:
        """Measures how far each image of the bank reaches at each κ."""
        if (size := len(self.draw(known, self.most))) < 2:
            raise ValueError(f"the bank has {size} image; it needs at least 2")
        bank = UnitFeatures(self.share, self.seed, self.most)
        self._bank = known.shared(bank).double()
        places = (KAPPAS[:-1] * size - 1).long() + 1  # 0 is the image itself
        away = (_distances(one, self._bank) for one in self._bank.split(CHUNK))
        self._reach = torch.cat([one.sort(1).values[:, places] for one in away])

    def score(self, batch: Outputs) -> Tensor:
        """Returns −κ, `[N]`, from −1 to −0.001."""
        features = statistics.unit(batch.features).double()
        needed = max(1, int(self.hosts * len(self._bank)))
        needed += needed / len(self._bank) < self.hosts
        away = (_distances(self._bank, one) for one in features.split(CHUNK))
        # The first κ at which each image of the bank holds x.
        held = (torch.searchsorted(self._reach, one) for one in away)
        first = torch.cat([one.kthvalue(needed, dim=0).values for one in held])
        return -KAPPAS.to(features.device)[first]
