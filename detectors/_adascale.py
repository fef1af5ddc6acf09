"""What AdaSCALE-A and AdaSCALE-L share: a percentile for each image."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Need, Outputs, Result
from oodbench.detectors._checks import check_at_least
from oodbench.scoring.shaping import Shaping


def top_logit(result: Result) -> Tensor:
    """Returns the largest logit, `[N]`."""
    return result.logits.max(1).values


@dataclass(frozen=True)
class Shift:
    """How far the largest features move when pixels of little influence do.

    It is λ Σ |z − z′| over the largest features, plus Σ max(z′, 0) over more of them.
    """

    k1: float
    k2: float
    weight: float
    pixels: float
    epsilon: float

    def __call__(self, batch: Outputs) -> Tensor:
        """Returns the shift, `[N]`, float64, ≥ 0."""
        features = batch.features.double()
        gradient = batch.gradient(top_logit).flatten(1)
        least = gradient.abs().topk(_count(gradient, self.pixels), largest=False)
        steps = self.epsilon * gradient.gather(1, least.indices).sign()
        step = torch.zeros_like(gradient).scatter(1, least.indices, steps)
        changed = batch.run(batch.inputs + step.view_as(batch.inputs))
        moved = changed.features.double()
        order = features.sort(dim=1, descending=True, stable=True).indices
        first, more = (order[:, : _count(features, k)] for k in (self.k1, self.k2))
        away = (features - moved).abs().gather(1, first).sum(1)
        return self.weight * away + moved.clamp(min=0).gather(1, more).sum(1)


@dataclass
class AdaScale(Shaping):
    """Base of shapings with a percentile of each image, from how its features move."""

    needs = Need.FEATURES | Need.HEAD | Need.INPUTS | Need.GRADIENT | Need.NETWORK
    objectives = (top_logit,)
    fitted_on = "val"

    low: float = 75.0
    """The smallest percentile, for the largest shift; at least 0."""
    high: float = 85.0
    """The largest percentile, from `low` to 100."""
    k1: float = 1.0
    """The share of the largest features whose shift counts, in %."""
    k2: float = 5.0
    """The share of the largest features whose moved values count, in %."""
    weight: float = 10.0
    """λ of the shift, at least 0."""
    pixels: float = 5.0
    """o, the share of pixels of each channel together that move, in %."""
    epsilon: float = 0.125
    """The step of a pixel in [0, 1], at least 0."""
    _shifts: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 100:
            raise ValueError(
                f"0 ≤ low ≤ high ≤ 100 must hold, got {self.low} and {self.high}"
            )
        for name in ("k1", "k2", "pixels"):
            if not 0 < (share := getattr(self, name)) <= 100:
                raise ValueError(f"{name} must be above 0 and at most 100, got {share}")
        check_at_least(self, weight=0, epsilon=0)
        self._shift = Shift(self.k1, self.k2, self.weight, self.pixels, self.epsilon)
        self.summaries = (self._shift,)

    def fit(self, known: Known) -> None:
        """Keeps the shifts of all images."""
        self._shifts = known.summary(self._shift).sort().values

    def percentiles(self, batch: Outputs) -> Tensor:
        """Returns the percentile of each image, `[N, 1]`, from `low` to `high`."""
        shifts = batch.summary(self._shift)
        places = torch.searchsorted(self._shifts, shifts, right=True)
        rank = places.double() / len(self._shifts)
        return (self.low + (1 - rank) * (self.high - self.low))[:, None]


def _count(rows: Tensor, share: float) -> int:
    return max(1, int(rows.shape[1] * share / 100))
