"""A detector on the small problem, as the checks run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.base.progress import silent
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Split
from oodbench.networks.network import Network
from oodbench.scoring.batch import Need
from oodbench.scoring.detector import Detector
from oodbench.scoring.engine import Engine
from oodbench.scoring.forward import run_network
from oodbench.scoring.outputs import Outputs
from oodbench.scoring.spec import open_detector
from oodbench.testing import problem
from oodbench.testing.fault import FaultError

Kind: TypeAlias = str | type[Detector]
"""A detector: its name on the command line, or its class."""
Scores: TypeAlias = NDArray[np.float64]

TOLERANCE = 1e-4
"""Relative and absolute; sums in batches of other sizes round differently."""


class RefusalError(FaultError):
    """It refuses with a ValueError to be fitted, which it may."""


def fresh(kind: Kind) -> Detector:
    """Returns a detector that is not fitted."""
    try:
        return open_detector(kind).detector if isinstance(kind, str) else kind()
    except (InputError, TypeError, ValueError) as error:
        raise FaultError(
            f"it cannot be made: {error}; give every parameter a default that it "
            "accepts"
        ) from error


def network_for(detector: Detector, scale: float = 1.0) -> Network:
    """Returns the problem's network, or another kind for a detector that reads more.

    Args:
        detector: Decides by its needs.
        scale: Multiplies the logits.
    """
    if Need.MEMBERS in detector.needs:
        return problem.members(scale)
    if Need.TEXTS in detector.needs:
        return problem.zero_shot(scale)
    return problem.network(scale)


@dataclass
class Trial:
    """A detector, fitted on the problem's known images.

    Raises:
        RefusalError: It refuses to be fitted.
        FaultError: It fails.
    """

    detector: Detector
    scale: float = 1.0
    """Multiplies the network's logits."""
    device: str = "cpu"
    known: Split = field(default_factory=problem.known)
    batch_size: int = 64
    beside: Mapping[str, Detector] = field(default_factory=dict)
    """Further detectors, which are fitted and score before it."""

    network: Network = field(init=False)

    def __post_init__(self) -> None:
        self.network = network_for(self.detector, self.scale).to(self.device)
        self.fit()

    def fit(self) -> None:
        """Fits it, again if it has been."""
        stage = self.detector.fitted_on
        if stage is None:
            return
        why = self._engine().fit(stage, self.known, tell=silent).get("it", "")
        if why.startswith("fit failed: ValueError"):
            raise RefusalError(f"it refuses the images to fit on: {why}")
        _raise(why)

    def scores(self, split: Split | None = None) -> Scores:
        """Returns its scores of a split, or of all the problem's images, `[N]`."""
        split = split or problem.both()
        scored = self._engine().score(split, has_labels=False, tell=silent)
        _raise(scored.failures.get("it", ""))
        return scored.scores["it"]

    def scores_of(self, numbers: NDArray[np.int64]) -> Tensor:
        """Returns its scores of some images, in the order of their numbers."""
        pixels = adapt(
            np.asarray(problem.both().images[:])[numbers], self.network.shape
        )
        batch = run_network(
            self.network,
            pixels,
            self.detector.objectives,
            torch.from_numpy(numbers),
            with_maps=bool(self.network.block_names),
        )
        with torch.no_grad():
            return self.detector.score(Outputs(batch, self.detector))

    def _engine(self) -> Engine:
        every = {**self.beside, "it": self.detector}
        return Engine(self.network, every, self.batch_size)


@cache
def usual_scores(kind: Kind) -> Scores:
    """Returns the scores of a fitted detector, `[N]`, for several checks."""
    return Trial(fresh(kind)).scores()


def compare(
    expected: Scores, found: Scores, when: str, remedy: str, *, exact: bool = False
) -> None:
    """Raises a FaultError where scores differ."""
    tolerance = 0 if exact else TOLERANCE
    wrong = ~np.isclose(found, expected, rtol=tolerance, atol=tolerance)
    if wrong.any():
        first = int(wrong.argmax())
        raise FaultError(
            f"image {first} scores {expected[first]:.9g}, and {found[first]:.9g} "
            f"{when}; {remedy}"
        )


def _raise(failure: str) -> None:
    if failure:
        raise FaultError(f"it fails: {failure}")
